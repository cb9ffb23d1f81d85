"""What a backend says goes to the client as an answer of the gateway, or not at all."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from infergate.live import shared_memory
from infergate.nginx.statuses import INTERNAL
from infergate.paths import Home
from tests.access_log import tokens
from tests.backends.servers import Scripted, scripted
from tests.cache import SUITE, TRIXIE
from tests.gateway import Gateway, gateway, until
from tests.wire import raw

CONFIG = """
backends: {{ a: {{ url: {url}, engine: vllm }}, b: {{ url: {url}, engine: vllm }} }}
breaker: {{ failures: 1000, error_rate: 1 }}
models:
  m: [a]
  slow: {{ backends: [a], upstream_name: m, timeouts: {{ first_byte: 99s }} }}
  hedged: {{ backends: [a, b], upstream_name: m, hedge: {{}} }}
  kept: {{ backends: [a], upstream_name: m, cache: {{ completions: true }} }}
services: {{ s: {{ url: {url}, path: /s/, auth: none }} }}
"""
FORM = '--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--x--\r\n'

WAYS = {
    "the short way": ("/v1/chat/completions", '{"model":"m","messages":[]}'),
    "the short way, streamed": (
        "/v1/chat/completions",
        '{"model":"m","stream":true,"messages":[]}',
    ),
    "the long way": ("/v1/chat/completions", '{"model":"slow","messages":[]}'),
    "a closer look": ("/v1/chat/completions", '{"mod\\u0065l":"m","messages":[]}'),
    "Anthropic's dialect": ("/v1/messages", '{"model":"m","max_tokens":1,"messages":[]}'),
    "a form": ("/v1/audio/transcriptions", FORM),
    "hedged": ("/v1/embeddings", '{"model":"hedged","input":"a"}'),
    "kept": ("/v1/embeddings", '{"model":"kept","input":"COUNTED"}'),
    "a service": ("/s/v1/x", "{}"),
}
_asked = itertools.count()
MODELS = [way for way in WAYS if way != "a service"]
Stack = tuple[Gateway, Scripted]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Stack]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        yield stack.enter_context(gateway(engine, CONFIG.format(url=a.url))), a


@pytest.fixture
def stack(running: Stack) -> Stack:
    running[1].reset()
    running[0].forget_failures()
    return running


def ask(it: Gateway, way: str, headers: str = "") -> bytes:
    """All bytes that come back over one connection for a request and one more. No answer that is
    kept is for the next."""
    path, body = WAYS[way]
    body = body.replace("COUNTED", str(next(_asked)))
    kind = "multipart/form-data; boundary=x" if way == "a form" else "application/json"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {it.key}\r\n{headers}"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return raw(
        it.port, head + body + "GET /healthz HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n"
    )


def statuses(answer: bytes) -> list[int]:
    """Of each response that a client finds in these bytes."""
    found = []
    while answer:
        head, _, answer = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        assert lines[0].startswith("HTTP/1.1 "), lines[0]
        found.append(int(lines[0].split()[1]))
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
        if "content-length" in headers:
            answer = answer[int(headers["content-length"]) :]
        elif headers.get("transfer-encoding") == "chunked":
            size = 1
            while size:
                line, _, answer = answer.partition(b"\r\n")
                size = int(line, 16)
                answer = answer[size + 2 :]
        if headers.get("connection") == "close":
            break
    return found


SPOKEN = [408, 413, 418, 452, 453, 455, 530, 599, *INTERNAL]


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_no_status_of_a_backend_is_taken_for_one_of_ours(stack: Stack, way: str) -> None:
    it, a = stack
    for status in SPOKEN:
        a.reset()
        a.behave(path_prefix="/v1/", status=status, body='{"its": "own"}')
        answer = ask(it, way)
        first, second = statuses(answer)
        assert second == 200
        if first == 502:
            assert status in INTERNAL
            assert way != "a service"
        else:
            assert first == status
            assert b'{"its": "own"}' in answer
    said = {line["error"] for line in it.log() if line["backend"] or line["status"] != 200}
    assert said <= {"", "backend_failed"}


def gzipped(complete: bool) -> str:
    """A stream that is compressed though nobody accepts it, as HTTP in Latin-1."""
    body = gzip.compress(b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n' * 9)
    end = "0\r\n\r\n" if complete else ""
    return (
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n{body.decode('latin-1')}\r\n{end}"
    )


@pytest.mark.parametrize("model", ["m", "slow", "kept"])
def test_nothing_is_added_to_a_compressed_stream_and_its_cut_is_seen(
    stack: Stack, model: str
) -> None:
    it, a = stack
    body = {"model": model, "stream": True, "messages": [], "temperature": 0}
    for complete in (True, True, False):
        a.reset()
        a.behave(path_prefix="/v1/chat", raw=gzipped(complete))
        request = httpx.stream(
            "POST", f"{it.url}/v1/chat/completions", headers=it.headers(), json=body
        )
        with request as answer:
            assert answer.headers["content-encoding"] == "gzip"
            got, cut = b"", False
            try:
                for piece in answer.iter_raw():
                    got += piece
            except httpx.RemoteProtocolError:
                cut = True
        assert gzip.decompress(got).endswith(b"\n\n")
        assert cut != complete
    until(lambda: it.log()[-1]["error"] == "stream_truncated")


NO_USAGE = [
    '{"prompt_tokens": 9e20, "completion_tokens": 1e308}',
    '{"prompt_tokens": 1e999, "completion_tokens": 1}',
    '{"prompt_tokens": -5, "completion_tokens": 0.5}',
    '{"prompt_tokens": "1\\n,", "completion_tokens": "],"}',
    '{"prompt_tokens": [1], "completion_tokens": {"a": 1}}',
    '{"prompt_tokens": true, "prompt_tokens_details": {"cached_tokens": 1e300}}',
    '{"input_tokens": 1e300, "output_tokens": -1}',
]


@pytest.mark.parametrize("model", ["m", "slow"])
def test_what_a_backend_tells_of_tokens_is_a_number_in_the_log(stack: Stack, model: str) -> None:
    it, a = stack
    for usage in NO_USAGE:
        for kind, body in (
            ("application/json", '{"usage": %s}'),
            ("text/event-stream", 'data: {"usage": %s}\n\ndata: [DONE]\n\n'),
        ):
            a.behave(path_prefix="/v1/chat", body=body % usage, headers={"Content-Type": kind})
            assert it.chat(model).status_code == 200
    asked = [line for line in it.log() if line["gen_ai.request.model"] == model and tokens(line)]
    assert len(asked) >= len(NO_USAGE)
    for line in asked:
        assert all(type(each) is int and 0 <= each < 2**32 for each in tokens(line) or []), line


AFTER = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}"
UPGRADE = "Upgrade: h2c\r\nConnection: upgrade\r\n"
"""Of a client that would like HTTP/2, as Java's is."""

NO_ANSWERS = [
    *(f"HTTP/1.1 {status} X\r\n\r\n" for status in ("100", "102", "199", "001", "000")),
    f"HTTP/1.1 100 Continue\r\nX-Large: {'x' * 3000}\r\n\r\n",
    "HTTP/1.1 199 X\r\nContent-Length: 3\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    'HTTP/1.1 2000 OK\r\nContent-Length: 3\r\n\r\nabc {"usage":{"prompt_tokens":1}}\r\n\r\n',
    "ICY 200 OK\r\n\r\n",
]
"""What nginx takes for the head of an answer, or for an answer without a head."""


@pytest.mark.parametrize("way", WAYS)
def test_what_begins_with_no_answer_is_502_and_nothing_comes_after_it(
    stack: Stack, way: str
) -> None:
    it, a = stack
    for begins in NO_ANSWERS:
        a.reset()
        it.forget_failures()
        a.behave(path_prefix="/v1/", raw=begins + AFTER)
        answer = ask(it, way)
        assert statuses(answer) in ([502, 200], [502]), begins
        assert b"Set-Cookie" not in answer.split(b"\r\n\r\n")[0]
        if way in MODELS:
            assert b"a=b" not in answer
            assert b'"error"' in answer


@pytest.mark.parametrize("way", WAYS)
def test_who_answers_101_gets_no_tunnel_to_a_client_that_may_upgrade(
    stack: Stack, way: str
) -> None:
    it, a = stack
    a.behave(path_prefix="/v1/", raw="HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n" + AFTER)
    assert ask(it, way, UPGRADE) == b""  # nginx closes: its head was not sent yet
    a.reset()
    assert 200 in statuses(ask(it, way, UPGRADE)), "without it they are answered as others"


def test_an_early_hint_is_dropped_where_the_engine_can_and_else_502(
    stack: Stack, engine: str
) -> None:
    it, a = stack
    for way in WAYS:
        it.forget_failures()
        a.behave(path_prefix="/v1/", raw="HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n" + AFTER)
        answer = ask(it, way)
        # Trixie's 1.26 knows no 103; nginx does since 1.29.
        knows_none = engine == "debian" and SUITE == TRIXIE
        assert statuses(answer) == [502 if knows_none else 200, 200], way
        assert b"Link" not in answer.split(b"\r\n\r\n")[0]


USED = '{"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}'
BREAKS_OFF = {
    "before the length it told": f"Content-Length: 500\r\n\r\n{USED}",
    "before its last chunk": f"Transfer-Encoding: chunked\r\n\r\n{len(USED):x}\r\n{USED}\r\n",
    "in its last chunk": f"Transfer-Encoding: chunked\r\n\r\n{len(USED):x}\r\n{USED}\r\n0\r\n",
    "long": f"Content-Length: 99999\r\n\r\n{' ' * 60_000}{USED}",
    "long, before its last chunk": (
        f"Transfer-Encoding: chunked\r\n\r\nea60\r\n{' ' * 60_000}\r\n{len(USED):x}\r\n{USED}\r\n"
    ),
}
"""Whole answers whose framing ends early, when their usage is there."""


@pytest.mark.parametrize("case", BREAKS_OFF)
@pytest.mark.parametrize("way", [way for way in MODELS if "streamed" not in way])
def test_an_answer_that_breaks_off_after_its_usage_is_counted_and_a_failure(
    stack: Stack, way: str, case: str
) -> None:
    it, a = stack
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    a.behave(path_prefix="/v1/", raw=head + BREAKS_OFF[case])
    answer = ask(it, way)
    line = it.log()[-1]
    known = shared_memory.read(Home(it.home).socket).breakers
    if line["status"] == 200:
        assert not complete(answer)
        assert line["error"] == "answer_truncated"
        assert tokens(line) == [7, 5, 0]
    else:  # nothing of it went out
        assert line["status"] == 502
        assert way in ("hedged", "kept")
    assert sum(each[_FAILURES] for each in known.values()) >= 1


_FAILURES = 3  # its place in an entry of njs/breaker.js


def complete(answer: bytes) -> bool:
    """Whether the first response in these bytes is there to the end that it told."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: *(\d+)\r$", head, re.IGNORECASE | re.MULTILINE)
    return len(body) >= int(length[1]) if length else b"\r\n0\r\n\r\n" in body


READERS, LARGE = 30, 8 * 2**20


def memory_of_workers(it: Gateway) -> int:
    """Bytes that the workers of nginx hold."""
    master = it.status()["processes"]["nginx"]
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in children]
    return sum(pages) * resource.getpagesize()


def test_clients_that_read_nothing_of_large_answers_hold_little_memory_and_spoil_no_answer(
    stack: Stack,
) -> None:
    it, a = stack
    answer = json.dumps({"data": ["x" * LARGE], "usage": {"prompt_tokens": 7, "total_tokens": 7}})
    a.behave(path_prefix="/v1/embeddings", status=200, body=answer)
    body = '{"model":"m","input":"a"}'
    request = (
        f"POST /v1/embeddings HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {it.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    before = memory_of_workers(it)
    with ExitStack() as readers:
        for _ in range(READERS):
            address = ("127.0.0.1", it.port)
            readers.enter_context(socket.create_connection(address)).sendall(request)
        until(lambda: len(a.requests("/v1/embeddings")) == READERS)
        meanwhile = it.post("/v1/embeddings", json.loads(body))
        assert meanwhile.text == answer
        grown = memory_of_workers(it) - before
    assert grown < 100 * 2**20, f"{grown / 2**20:.0f} MB for {READERS} readers"
    assert (tokens(it.log()[-1]) or [])[2:] in ([0], [0, 1])  # exact, or said to be estimated
    until(lambda: len(it.log()) and it.post("/v1/embeddings", json.loads(body)).text == answer)
    assert tokens(it.log()[-1]) == [7, 0, 0]
