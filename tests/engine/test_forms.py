"""A form's model is the one that every parser of a backend reads, or the form is refused.

The key may use `good` only; `secret` runs on the same backend. What is accepted is given to two
real parsers: Werkzeug's, of Flask; python-multipart, of Starlette and FastAPI.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_multipart import FormParser
from python_multipart.multipart import parse_options_header
from werkzeug.formparser import parse_form_data

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway

PATH = "/v1/audio/transcriptions"
B = b"Xx0yBoundary"

Stack = tuple[Gateway, Scripted, str]


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with (
        scripted(models=("good", "secret")) as backend,
        gateway(
            engine,
            f"""
backends: {{ a: {{ url: {backend.url}, engine: vllm }} }}
models:
  good: {{ backends: [a], aliases: [fine] }}
  secret: [a]
""",
        ) as it,
    ):
        yield it, backend, it.new_key("good", "--models", "good,fine")


def part(head: bytes, value: bytes) -> bytes:
    return b"--" + B + b"\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


def form(*parts: bytes, end: bytes = b"--" + B + b"--\r\n") -> bytes:
    return b"".join(parts) + end


D = b"Content-Disposition: form-data; "
MODEL = part(D + b'name="model"', b"good")
FILE = part(D + b'name="file"; filename="a.wav"\r\nContent-Type: audio/wav', b"\x00\xff--\r\n-")
USUAL = f"multipart/form-data; boundary={B.decode()}"


def send(stack: Stack, body: bytes, content_type: str = USUAL) -> tuple[httpx.Response, list[dict]]:
    it, backend, key = stack
    backend.reset()
    answer = it.post(PATH, body, key=key, headers={"Content-Type": content_type})
    return answer, posted(backend)


def posted(backend: Scripted) -> list[dict]:
    """What came in that is no probe."""
    return [each for each in backend.requests("/v1") if each["method"] == "POST"]


def werkzeug_models(body: bytes, content_type: str) -> list[str]:
    environ = {
        "REQUEST_METHOD": "POST",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
    }
    return parse_form_data(environ, silent=False)[1].getlist("model")


def python_multipart_models(body: bytes, content_type: str) -> list[str]:
    models: list[str] = []

    def field(found: object) -> None:
        if found.field_name == b"model":  # type: ignore[attr-defined]
            models.append(found.value.decode())  # type: ignore[attr-defined]

    kind, options = parse_options_header(content_type)
    parser = FormParser(
        kind.decode(),
        field,
        lambda _: None,
        boundary=options[b"boundary"],
        config={"MAX_BODY_SIZE": 1e9},
    )
    parser.write(body)
    parser.finalize()
    return models


def read_alike(seen: list[dict], model: str = "good") -> None:
    """Every real parser reads the authorised model from what the backend got."""
    for each in seen:
        body, content_type = each["body"].encode("latin-1"), each["headers"]["content-type"]
        assert werkzeug_models(body, content_type) == [model]
        assert python_multipart_models(body, content_type) == [model]


SECRET = part(D + b'name="model"', b"secret")
INSIDE = D + b'name="model"\r\n\r\nsecret'
AMBIGUOUS = {
    "a boundary after LF": form(
        MODEL, part(D + b'name="x"', b"y\n--" + B + b"\r\n" + INSIDE), FILE
    ),
    "a boundary after CR": form(MODEL, part(D + b'name="x"', b"y\r--" + B + b"\r\n" + INSIDE)),
    "a boundary after LF with LF": form(
        MODEL, part(D + b'name="x"', b"y\n--" + B + b"\n" + INSIDE.replace(b"\r", b""))
    ),
    "a boundary in a line": form(MODEL, part(D + b'name="x"', b"y--" + B + b"\r\n" + INSIDE)),
    "the end in a line": form(part(D + b'name="x"', b"y\n--" + B + b"--\n"), MODEL),
    "a longer boundary": form(MODEL, part(D + b'name="x"', b"\r\n--" + B + b"z\r\n" + INSIDE)),
    "a boundary with space": form(MODEL, b"--" + B + b" \r\n" + INSIDE + b"\r\n"),
    "a boundary in a header": form(
        MODEL, part(D + b'name="x"\r\nContent-Type: a\n--' + B + b"\n" + INSIDE, b"")
    ),
    "parts after the end": form(MODEL, end=b"--" + B + b"--\r\n" + form(SECRET)),
    "text after the end": form(MODEL, end=b"--" + B + b"--\r\nx"),
    "text before the start": b"x\r\n" + form(MODEL),
    "no end": MODEL,
    "LF only": form(MODEL).replace(b"\r\n", b"\n"),
    "the model twice": form(MODEL, SECRET),
    "the model in capitals": form(MODEL, part(D + b'name="MODEL"', b"secret")),
    "a list": form(MODEL, part(D + b'name="model[]"', b"secret")),
    "a member": form(MODEL, part(D + b'name="model.x"', b"secret")),
    "the model as a file": form(part(D + b'name="model"; filename="m"', b"good")),
    "the model as a file beside it": form(
        MODEL, part(D + b'filename="m"; name="model"', b"secret")
    ),
    "the model as an empty file": form(part(D + b'name="model"; filename=""', b"good")),
    "base64": form(part(D + b'name="model"\r\nContent-Transfer-Encoding: base64', b"good")),
    "quoted-printable": form(
        part(D + b'name="model"\r\nContent-Transfer-Encoding: quoted-printable', b"good")
    ),
    "another encoding of a file": form(
        MODEL, part(D + b'name="f"; filename="f"\r\nContent-Transfer-Encoding: base64', b"good")
    ),
    "another character set": form(
        part(D + b'name="model"\r\nContent-Type: text/plain; charset=utf-16', b"good")
    ),
    "utf-7": form(part(D + b'name="model"\r\nContent-Type: text/plain; charset=utf-7', b"good")),
    "JSON": form(part(D + b'name="model"\r\nContent-Type: application/json', b'"good"')),
    "the character set of others": form(part(D + b'name="_charset_"', b"utf-16"), MODEL),
    "no name": form(MODEL, part(D[:-2], b"secret")),
    "an escaped name": form(MODEL, part(D + b'name="mod\\el"', b"secret")),
    "an extended name": form(MODEL, part(D + b"name*=utf-8''model", b"secret")),
    "an encoded name": form(MODEL, part(D + b'name="=?utf-8?q?model?="', b"secret")),
    "a space in the name": form(MODEL, part(D + b'name=" model"', b"secret")),
    "a NUL in the name": form(MODEL, part(D + b'name="model\0x"', b"secret")),
    "two names": form(MODEL, part(D + b'name="x"; name="model"', b"secret")),
    "a name in capitals": form(MODEL, part(D + b'NAME="model"', b"secret")),
    "a name inside of a file's": form(
        MODEL, part(D + b'filename="x; name=model; y"; name="file"', b"secret")
    ),
    "a name after a quote in a file's": form(
        MODEL, part(D + b'name="file"; filename="a\\"; name=\\"model"', b"secret")
    ),
    "a backslash before the quote": form(
        MODEL, part(D + b'filename="C:\\"; name="model"; x="', b"secret")
    ),
    "two dispositions": form(MODEL, part(D + b'name="x"\r\n' + D + b'name="model"', b"secret")),
    "a folded header": form(MODEL, part(D + b'name="x";\r\n name="model"', b"secret")),
    "a bare LF in a header": form(MODEL, part(D + b'name="x"\n' + D + b'name="model"', b"secret")),
    "a space before the colon": form(
        MODEL, part(b'Content-Disposition : form-data; name="model"', b"secret")
    ),
    "a wrong length": form(part(D + b'name="model"\r\nContent-Length: 2', b"good")),
    "a nested form": form(
        MODEL, part(D + b'name="x"\r\nContent-Type: multipart/mixed; boundary=q', b"--q--")
    ),
    "a name in the type of a file": form(
        MODEL,
        part(D + b'name="file"; filename="a"\r\nContent-Type: a/b; name="model"', b"secret"),
    ),
    "an unknown header": form(part(D + b'name="model"\r\nX-Model: secret', b"good")),
    "no headers": form(MODEL, part(b"", b"secret")),
    "another disposition": form(MODEL, part(b'Content-Disposition: file; name="model"', b"secret")),
    "a line break in the model": form(part(D + b'name="model"', b"good\r\n")),
    "a NUL in the model": form(part(D + b'name="model"', b"good\0")),
    "no UTF-8 in the model": form(part(D + b'name="model"', b"good\xff")),
    "an empty model": form(part(D + b'name="model"', b"")),
    "nothing at all": b"",
    "many parts": form(MODEL, *[part(D + b'name="x%d"' % n, b"") for n in range(101)]),
    "a long header": form(part(D + b'name="model"\r\nContent-Type: ' + b"x" * 5000, b"good")),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_form_that_could_be_read_two_ways_is_refused(stack: Stack, name: str) -> None:
    answer, seen = send(stack, AMBIGUOUS[name])
    assert (answer.status_code, seen) == (400, []), answer.text
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/mixed; boundary=Xx0yBoundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=---",
        "multipart/form-data; boundary=Xx0yBoundary; boundary=other",
        "multipart/form-data; boundary=Xx0yBoundary; Boundary=other",
        "multipart/form-data; boundary=Xx0yBoundary; charset=utf-16",
        "multipart/form-data; boundary=Xx0yBoundary, multipart/form-data; boundary=other",
        'multipart/form-data; boundary="Xx0yBoundary\\"',
        "application/x-www-form-urlencoded",
    ],
)
def test_a_content_type_that_could_be_read_two_ways_is_refused(
    stack: Stack, content_type: str
) -> None:
    answer, seen = send(stack, form(MODEL, FILE), content_type)
    assert (answer.status_code, seen) == (400, [])


TEXT = b"\r\nContent-Type: text/plain; charset=utf-8"
UNAMBIGUOUS = {
    ".NET": (
        f'multipart/form-data; boundary="{B.decode()}"',
        form(
            part(b"Content-Type: text/plain; charset=utf-8\r\n" + D + b"name=model", b"good"),
            part(D + b"name=file; filename=a.wav; filename*=utf-8''a%20.wav", b"x"),
        ),
    ),
    "old .NET": (USUAL, b"\r\n" + form(MODEL, FILE)),
    "Ktor": (
        USUAL,
        form(
            part(D + b"name=model\r\nContent-Length: 4", b"good"),
            part(b"Content-Type: audio/wav\r\n" + D + b"name=file; filename=a.wav", b"x"),
        ),
    ),
    "Spring": (
        f"multipart/form-data;boundary={B.decode()};charset=UTF-8",
        form(
            part(
                D + b'name="model"\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: 4',
                b"good",
            ),
            FILE,
        ),
    ),
    "the character set first": (
        f"multipart/form-data; charset=utf-8; boundary={B.decode()}",
        form(MODEL),
    ),
    "the file's name first": (USUAL, form(part(D + b'filename="a.wav"; name="f"', b"x"), MODEL)),
    "a quote in a file's name": (
        USUAL,
        form(MODEL, part(D + b'name="file"; filename="a\\"b;c.wav"', b"x")),
    ),
    "a Content-ID": (USUAL, form(part(D + b'name="model"\r\nContent-ID: <1>', b"good"), FILE)),
    "Retrofit": (
        USUAL,
        form(part(D + b'name="model"\r\nContent-Transfer-Encoding: binary', b"good"), FILE),
    ),
    "Apache HttpClient": (
        USUAL,
        form(
            part(
                D + b'name="model"\r\nContent-Type: text/plain; charset=ISO-8859-1\r\n'
                b"Content-Transfer-Encoding: 8bit",
                b"good",
            ),
            FILE,
        ),
    ),
    "lists of other fields": (
        USUAL,
        form(part(D + b'name="timestamp_granularities[]"', b"word"), MODEL, FILE),
    ),
    "no line break at the end": (USUAL, form(MODEL, FILE, end=b"--" + B + b"--")),
    "an empty file": (USUAL, form(MODEL, part(D + b'name="file"; filename=""', b""))),
    "an alias": (
        USUAL,
        form(part(D + b"name=model" + TEXT + b"\r\nContent-Length: 4", b"fine"), FILE),
    ),
}


@pytest.mark.parametrize("name", UNAMBIGUOUS)
def test_forms_of_well_known_clients_pass_and_every_parser_reads_the_same_model(
    stack: Stack, name: str
) -> None:
    content_type, body = UNAMBIGUOUS[name]
    answer, seen = send(stack, body, content_type)
    assert answer.status_code == 200, answer.text
    read_alike(seen)
    if name != "an alias":
        assert seen[0]["body"].encode("latin-1") == body


BREAKS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n\r\n", b"", b"\r\n ", b" \r\n"])
QUOTED = st.sampled_from(
    [
        b'"model"',
        b"model",
        b'"file"',
        b"x",
        b'"Model"',
        b"model[]",
        b'"mod\\el"',
        b'" model"',
        b"''",
    ]
)
PARAMETERS = st.one_of(
    st.builds(b"name=%b".__mod__, QUOTED),
    st.sampled_from(
        [
            b'name="model"',
            b'filename="a"',
            b'filename="a\\"; name=model"',
            b"filename=model",
            b"name*=utf-8''model",
            b"filename*=utf-8''x",
            b'x="y"',
        ]
    ),
)
HEADERS = st.one_of(
    st.builds(
        lambda names, sep: b"Content-Disposition: form-data; " + sep.join(names),
        st.lists(PARAMETERS, min_size=1, max_size=3),
        st.sampled_from([b"; ", b";", b" ; ", b",", b";\r\n "]),
    ),
    st.sampled_from(
        [
            b"Content-Type: text/plain",
            b"Content-Type: text/plain; charset=utf-16",
            b"Content-Type: audio/wav",
            b"Content-Transfer-Encoding: base64",
            b"Content-Transfer-Encoding: 8bit",
            b"Content-Length: 4",
            b"content-disposition: form-data; name=model",
            b"X: y",
        ]
    ),
)
VALUES = st.sampled_from(
    [
        b"good",
        b"secret",
        b"good ",
        b"",
        b"--" + B,
        b"\n--" + B + b"\r\n" + INSIDE,
        b"c2VjcmV0",
        b"x",
    ]
)


@st.composite
def forms(draw: st.DrawFn) -> bytes:
    """A form as a client writes it, with some of its lines and breaks exchanged."""
    pieces = [draw(st.sampled_from([b""] * 5 + [b"\r\n", b"\n", b"x"]))]
    for _ in range(draw(st.integers(1, 4))):
        pieces.append(b"--" + B)
        if draw(st.booleans()):
            value = draw(VALUES)
            head = D + draw(st.sampled_from([b'name="model"', b"name=model", b"name=x"]))
            pieces += [b"\r\n", head, draw(BREAKS), b"\r\n", value]
        else:
            pieces.append(draw(BREAKS))
            for header in draw(st.lists(HEADERS, max_size=3)):
                pieces += [header, draw(BREAKS)]
            pieces += [draw(BREAKS), draw(VALUES)]
        pieces.append(draw(BREAKS))
    pieces.append(b"--" + B + draw(st.sampled_from([b"--\r\n"] * 5 + [b"--", b"\r\n", b"--x"])))
    return b"".join(pieces)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=forms())
def test_whatever_form_is_accepted_every_parser_reads_the_model_that_was_authorised(
    stack: Stack, body: bytes
) -> None:
    answer, seen = send(stack, body)
    assert answer.status_code in (200, 400, 404)
    read_alike(seen)


@pytest.mark.parametrize(
    ("asked", "passed"),
    [
        ("?model=secret", ""),
        ("?beta=true", "?beta=true"),
        ("?api-version=2024-06-01&beta=true&x=1", "?api-version=2024-06-01&beta=true"),
        ("?beta=true&beta=model", "?beta=true"),
        ("?beta=true%26model=secret", ""),
        ("?mod%65l=secret&key=abc&api_key=x&user=y&autoload=true", ""),
        ("?", ""),
        ("?beta=true;model=secret", ""),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", PATH])
def test_a_query_string_carries_nothing_that_decides(
    stack: Stack, path: str, asked: str, passed: str
) -> None:
    it, backend, key = stack
    backend.reset()
    if path == PATH:
        answer = it.post(path + asked, form(MODEL), key=key, headers={"Content-Type": USUAL})
    else:
        answer = it.post(path + asked, {"model": "good", "input": "x"}, key=key)
    seen = posted(backend)
    assert answer.status_code == 200, answer.text
    assert [each["path"] for each in seen] == [path + passed]
