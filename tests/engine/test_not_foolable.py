"""Whatever the backend would read is what was authorised, or the request is refused.

The key may use `good` only; `secret` runs on the same backend. No body may get through that any
parser could read as `secret`.
"""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests import wire
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[tuple[Gateway, Scripted, str]]:
    with (
        scripted(models=("good", "secret")) as backend,
        gateway(
            engine,
            f"""
backends: {{ a: {{ url: {backend.url}, engine: vllm }} }}
models: {{ good: [a], secret: [a] }}
limits: {{ max_body: 4MB }}
""",
        ) as it,
    ):
        yield it, backend, it.new_key("good", "--models", "good")


BODIES = {
    "a duplicate, secret last": b'{"model":"good","model":"secret"}',
    "a duplicate, secret first": b'{"model":"secret","model":"good"}',
    "another case": b'{"model":"good","Model":"secret"}',
    "another case first": b'{"MODEL":"secret","model":"good"}',
    "another case only": b'{"Model":"secret"}',
    "an escaped duplicate": b'{"model":"good","mod\\u0065l":"secret"}',
    "a fully escaped duplicate": b'{"\\u006d\\u006f\\u0064\\u0065\\u006c":"secret","model":"good"}',
    "an escaped other case": b'{"model":"good","\\u004dodel":"secret"}',
    "a duplicate behind a large string": b'{"model":"good","x":"'
    + b"y" * 9000
    + b'","model":"secret"}',
    "a duplicate after escaped quotes": b'{"model":"good","x":"\\"model\\":\\\\","model":"secret"}',
    "a duplicate among large strings": b'{"x":"%s","mod\\u0065l":"secret","y":"%s","model":"good"}'
    % (b"y" * 5000, b"\\\\" * 3000 + b'\\"'),
    "a large string that ends in a backslash": b'{"model":"good","x":"%s\\\\","model":"secret"}'
    % (b"y" * 9000),
    "an escaped quote before a large string": b'{"x":1,\\"%s":"model":"secret","model":"good"}'
    % (b"y" * 9000),
    "a large name like a mark": b'{"model":"@0%s"}' % (b"y" * 9000),
    "only nested": b'{"x":{"model":"good"}}',
    "an array": b'[{"model":"good"}]',
    "a string": b'"good"',
    "null": b"null",
    "a number": b"1",
    "nothing": b"",
    "two BOMs": b'\xef\xbb\xbf\xef\xbb\xbf{"model":"good"}',
    "a BOM inside": b'{\xef\xbb\xbf"model":"good"}',
    "UTF-16": '{"model":"good"}'.encode("utf-16"),
    "UTF-32": '{"model":"good"}'.encode("utf-32"),
    "broken UTF-8": b'{"model":"good","x":"\xc3"}',
    "a NUL behind it": b'{"model":"good"}\x00',
    "a NUL in the name": b'{"model":"good\x00"}',
    "an escaped NUL in the name": b'{"model":"good\\u0000"}',
    "two documents": b'{"model":"good"}{"model":"secret"}',
    "a comment": b'{"model":"good"/*,"model":"secret"*/}',
    "single quotes": b"{'model':'good'}",
    "a list as the model": b'{"model":["good","secret"]}',
    "an object as the model": b'{"model":{"model":"good"}}',
    "null as the model": b'{"model":null}',
    "an empty name": b'{"model":""}',
    "a key that a NUL ends early": b'{"model\\u0000x":"secret","model":"good"}',
    "a key that a NUL ends early, after much": b'{"x":"%s","model\\u0000":"secret","model":"good"}'
    % (b"y" * 9000),
    **{
        f"the number {number} in {where}": body % number.encode()
        for number in ("01", "-01", "00", "1.", ".5", "-.5", "+1", "1.e5", "010")
        for where, body in (
            ("a member", b'{"model":"good","seed": %s }'),
            ("a list", b'{"x":{"y":["10:05,",1,%s]},"model":"good"}'),
            ("much", b'{"x":"' + b"y" * 9000 + b'","model":"good","seed":%s}'),
            (
                "a body of many strings",
                b'{"x":[%s"0"],"model":"good","seed":%%s}' % (b'"0",' * 3000),
            ),
        )
    },
    "a long key in no UTF-8": b'{"model\xff%s":"secret","model":"good"}' % (b"y" * 5000),
    "a long key with a control character": b'{"model\x01%s":"secret","model":"good"}'
    % (b"y" * 5000),
    "the prototype": b'{"__proto__":{"model":"good"}}',
    "2 MB of nesting": b'{"model":"good","x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
    "nesting that never closes": b"[" * 2_000_000,
    "a bad number of a bad client": b'{"model":"good","x":0x10}',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_could_be_read_two_ways_is_refused(
    stack: tuple[Gateway, Scripted, str], name: str
) -> None:
    it, backend, key = stack
    backend.reset()
    answer = it.post("/v1/chat/completions", BODIES[name], key=key)
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error"]["message"]
    assert backend.requests() == []


HARMLESS = {
    "escapes in the only key": b'{"mod\\u0065l":"good"}',
    "escapes in the name": b'{"model":"go\\u006fd"}',
    "nested keys of that name": b'{"tools":[{"model":"secret","Model":1}],"model":"good"}',
    "the word as a value": b'{"x":["model","Model"],"model":"good"}',
    "the word inside a string": b'{"x":"\\"model\\":\\"secret\\"","model":"good"}',
    "white space": b' {\n\t"model" \r\n:\t"good" } \n',
    "an empty object beside it": b'{"x":{},"model":"good"}',
    "U+FFFD itself": '{"x":"\ufffd","model":"good"}'.encode(),
    "31 levels": b'{"model":"good","x":' + b"[" * 29 + b"]" * 29 + b"}",
    "a large string with its own marks": b'{"model":"good","y":"@0","@1":"%s"}'
    % (b'\\"@0\\\\' * 2000),
    "what looks like numbers": b'{"x":"at 10:05, 1,000, [01], \\":01, :.5, +1",'
    b'"y":[0,-0,0.5,1e5,10,-1.0E+2,100],"model":"good"}',
    "a megabyte": b'{"x":"' + b"y" * 1_000_000 + b'","model":"good"}',
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_body_that_can_only_mean_one_thing_passes_unchanged(
    stack: tuple[Gateway, Scripted, str], name: str
) -> None:
    it, backend, key = stack
    backend.reset()
    answer = it.post("/v1/chat/completions", HARMLESS[name], key=key)
    assert answer.status_code == 200, answer.text
    assert json.loads(backend.requests()[0]["body"])["model"] == "good"
    if "name" not in name:
        assert backend.requests()[0]["body"].encode("latin-1") == HARMLESS[name]


def test_a_compressed_body_is_refused(stack: tuple[Gateway, Scripted, str]) -> None:
    it, backend, key = stack
    backend.reset()
    for encoding in ("gzip", "deflate", "br", "GZIP"):
        answer = it.post(
            "/v1/chat/completions",
            gzip.compress(b'{"model":"good"}'),
            key=key,
            headers={"Content-Encoding": encoding},
        )
        assert answer.status_code == 400
        plain = it.post(
            "/v1/chat/completions",
            b'{"model":"good"}',
            key=key,
            headers={"Content-Encoding": encoding},
        )
        assert plain.status_code == 400
    assert backend.requests() == []


BAD, GOOD = b'{"model":7}', b'{"model":"good","messages":[]}'
TWICE = (
    "Accept Accept-Encoding Cache-Control Content-Encoding Cookie Upgrade x-api-key"
    " anthropic-version x-infergate-backend x-session-id Sec-Fetch-Mode"
).split()


@pytest.mark.parametrize("name", TWICE)
def test_a_header_told_twice_in_bytes_that_are_no_text_is_like_any_other(
    stack: tuple[Gateway, Scripted, str], name: str
) -> None:
    """njs cannot make one text of the two."""
    it, _, key = stack
    requests = [
        ("POST", "/v1/chat/completions", GOOD),
        ("POST", "/v1/chat/completions", GOOD[:-1] + b',"x":"%s"}' % (b"y" * 9000)),
        ("POST", "/v1/messages", GOOD[:-1] + b',"max_tokens":1}'),
        ("POST", "/v1/messages", BAD),
        ("GET", "/v1/chat/completions", b""),
        ("GET", "/v1/responses/x", b""),
        ("GET", "/nothing", b""),
    ]
    for method, path, body in requests:
        seen = []
        for value in ("x", "\xe9"):
            twice = f"{name}: {value}\r\n" * 2
            head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n{twice}"
            head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            answer = wire.raw(it.port, head.encode("latin-1") + body)
            seen.append((wire.status_of(answer), answer.endswith(b"}")))
        assert seen[0] == seen[1], (method, path, body[:40])
        assert seen[0][0] < 500


def test_a_chunked_upload_is_read_whole_before_it_is_judged(
    stack: tuple[Gateway, Scripted, str],
) -> None:
    it, backend, key = stack
    backend.reset()

    def pieces() -> Iterator[bytes]:
        yield b'{"model":"go'
        yield b'od","model":'
        yield b'"secret"}'

    url, headers = it.url + "/v1/chat/completions", it.headers(key)
    assert httpx.post(url, content=pieces(), headers=headers).status_code == 400
    assert (
        httpx.post(url, content=iter([b'{"mod', b'el":"good"}']), headers=headers).status_code
        == 200
    )
    assert [each["body"] for each in backend.requests()] == ['{"model":"good"}']


def test_another_character_set_in_the_content_type_does_not_reach_the_backend(
    stack: tuple[Gateway, Scripted, str],
) -> None:
    it, backend, key = stack
    backend.reset()
    it.post(
        "/v1/chat/completions",
        b'{"model":"good"}',
        key=key,
        headers={"Content-Type": "application/json; charset=utf-7"},
    )
    assert backend.requests()[0]["headers"]["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    [
        "/v1//chat/completions",
        "/v1/./chat/completions",
        "/v1/x/../chat/completions",
        "/v1/chat%2fcompletions",
        "/v1/%63hat/completions",
    ],
)
def test_a_path_in_disguise_is_the_plain_one_or_nothing(
    stack: tuple[Gateway, Scripted, str], path: str
) -> None:
    it, backend, key = stack
    backend.reset()
    body = b'{"model":"good"}'
    with socket.create_connection(("127.0.0.1", it.port)) as raw:
        raw.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (path.encode(), key.encode(), len(body), body)
        )
        status = raw.makefile("rb").readline().split()[1]
    seen = [each["path"] for each in backend.requests("/v1")]
    assert (status, seen) in [(b"200", ["/v1/chat/completions"]), (b"404", [])]


def test_without_a_key_the_body_is_not_even_read(stack: tuple[Gateway, Scripted, str]) -> None:
    it, _, _ = stack
    with socket.create_connection(("127.0.0.1", it.port)) as raw:
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
        )
        assert raw.makefile("rb").readline().split()[1] == b"401"


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/audio/transcriptions"),
        *("/v1/moderations", "/v1/embeddings", "/v1/models", "/api/pull", "/health", "/nope"),
        "/rerank",
    ],
)
def test_a_body_over_the_limit_is_413_in_the_dialect(
    stack: tuple[Gateway, Scripted, str], path: str
) -> None:
    it, _, key = stack
    answer = it.post(path, b'{"model":"good","x":"' + b"y" * 4_200_000 + b'"}', key=key)
    assert answer.status_code == 413
    error = answer.json()["error"]
    assert "larger" in (error if path.startswith("/api/") else error["message"])
    assert ("type" in answer.json()) == (path == "/v1/messages")
