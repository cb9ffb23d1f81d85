"""Streams arrive when the backend sends them, and a client that leaves is felt by the backend."""

from __future__ import annotations

import itertools
import json
import random
import socket
import time

import httpx
import pytest

from tests.backends.servers import Scripted
from tests.engine.conftest import Pair
from tests.gateway import Gateway, until


def only(pair: Pair) -> tuple[Gateway, Scripted]:
    """The gateway with a as its only backend in service."""
    it, a, _ = pair
    it.run("backend", "drain", "b")
    return it, a


def test_a_token_reaches_the_client_when_the_backend_sends_it(pair: Pair) -> None:
    it, a = only(pair)
    a.behave(path_prefix="/v1/chat", chunk_delay_s=0.3, chunks=4)
    arrived = []
    with httpx.stream(
        "POST",
        it.url + "/v1/chat/completions",
        headers=it.headers(),
        json={"model": "m", "stream": True},
        timeout=10,
    ) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-accel-buffering"] == "no"
        for line in answer.iter_lines():
            if line.startswith("data: "):
                arrived.append(time.monotonic())
    # The backend pauses 0.3 s after each of four; collected, they would all come at once.
    pauses = [later - earlier for earlier, later in itertools.pairwise(arrived)]
    assert len(arrived) == 5
    assert sum(pause > 0.15 for pause in pauses) >= 3, "a busy machine may be late once"


def test_the_bytes_of_a_stream_are_unchanged(pair: Pair) -> None:
    it, a = only(pair)
    body = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    through = it.post("/v1/chat/completions", body).content
    direct = httpx.post(a.url + "/v1/chat/completions", json=body).content
    assert through == direct


def test_a_client_that_leaves_mid_stream_frees_the_backend_and_its_slot(pair: Pair) -> None:
    it, a = only(pair)
    a.behave(path_prefix="/v1/chat", chunk_delay_s=0.1, chunks=1000)
    with httpx.stream(
        "POST",
        it.url + "/v1/chat/completions",
        headers=it.headers(),
        json={"model": "m", "stream": True},
    ) as answer:
        lines = answer.iter_lines()  # kept: httpx leaves when its iterator is forgotten
        next(lines)
        assert it.backend("a")["in_flight"] == 1
    until(lambda: a.stats()["aborted"] == 1)
    until(lambda: it.backend("a")["in_flight"] == 0)


def test_a_client_that_leaves_before_the_first_byte_frees_the_backend_and_its_slot(
    pair: Pair,
) -> None:
    it, a = only(pair)
    a.behave(path_prefix="/v1/chat", hang=True)
    body = b'{"model":"m"}'
    raw = socket.create_connection(("127.0.0.1", it.port))
    raw.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (it.key.encode(), len(body), body)
    )
    until(lambda: a.stats()["open"] == 1)
    raw.close()
    until(lambda: a.stats()["aborted"] == 1)
    until(lambda: it.backend("a")["in_flight"] == 0)
    assert it.log()[-1]["status"] == 499


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_the_usage_is_taken_out_however_a_stream_is_cut(
    pair: Pair, separators: tuple[str, str]
) -> None:
    """Most pieces of one whose client did not ask for it end alike, and pass without a search."""
    it, a = only(pair)

    def event(**said: object) -> bytes:
        return b"data: %s\n\n" % json.dumps(said, separators=separators).encode()

    def choice(text: str, finish: str | None) -> bytes:
        choices = [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]
        return event(object="chat.completion.chunk", choices=choices)

    texts = ["é", "a", "b" * 500, '"finish_reason":null', *"cdefgh", "i" * 300, *"jklmn"]
    said = b"".join(choice(text, None) for text in texts) + choice("", "stop")
    usage = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 16})
    sent, cuts = said + usage + b"data: [DONE]\n\n", random.Random(13)
    body = {"model": "m", "stream": True, "messages": []}
    for most in (0, 3, 40):
        ends = {i + 2 for i in range(len(sent)) if sent[i : i + 2] == b"\n\n"}
        ends |= {cuts.randrange(1, len(sent)) for _ in range(most)}
        places = [0, *sorted(ends)]
        pieces = [sent[i:j] for i, j in itertools.pairwise(places)]
        body_sent = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        head += b"transfer-encoding: chunked\r\n\r\n"
        a.behave(path_prefix="/v1/chat", raw=(head + body_sent + b"0\r\n\r\n").decode("latin-1"))
        got = it.post("/v1/chat/completions", body)
        assert got.text == (said + b"data: [DONE]\n\n").decode()
        until(lambda: it.log()[-1]["gen_ai.usage.output_tokens"] == 16)
