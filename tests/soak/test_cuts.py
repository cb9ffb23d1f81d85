"""A backend goes away after each byte of an answer, politely or not, in every dialect: what came is
passed on, that it broke off is told, and nothing is left counted as in flight.

INFERGATE_CUTS: every how manieth byte; 1 by default, some 8,000 cuts on each engine.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import free_port
from tests.gateway import Gateway, gateway, until

STEP = int(os.environ.get("INFERGATE_CUTS", "1"))
AT_ONCE = 16
SLOW_EVERY = 7
"""Every so manieth client reads a few bytes at a time."""

CONFIG = """
backends: {{ a: {{ url: http://127.0.0.1:{port}, engine: {engine} }} }}
models: {{ m: [a], own: {{ backends: [a], upstream_name: m, timeouts: {{ idle: 20s }} }} }}
retries: {{ attempts: 1 }}
breaker: {{ failures: 1000, error_rate: 1.0 }}
"""


@dataclass(frozen=True)
class Answer:
    """A whole answer of a backend. pieces: of its body. stream: with an end of its own."""

    path: str
    engine: str
    pieces: tuple[str, ...]
    stream: bool = True

    def head(self) -> bytes:
        kind = "application/json"
        if self.stream:
            kind = "application/x-ndjson" if self.engine == "ollama" else "text/event-stream"
        return (
            f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        ).encode()

    def raw(self) -> bytes:
        chunks = (f"{len(each):x}\r\n{each}\r\n" for each in self.pieces)
        return self.head() + "".join(chunks).encode() + b"0\r\n\r\n"


def _sse(*events: Any) -> tuple[str, ...]:
    texts = (each if isinstance(each, str) else json.dumps(each) for each in events)
    return tuple(f"data: {each}\n\n" for each in texts)


def _named(*events: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)


def _choice(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ANTHROPIC = {"input_tokens": 5, "output_tokens": 2}

ANSWERS = {
    "chat stream": Answer(
        "/v1/chat/completions",
        "vllm",
        _sse(
            _choice({"content": "Hel"}),
            _choice({"content": "lo"}, "stop"),
            {"choices": [], "usage": USAGE},
            "[DONE]",
        ),
    ),
    "chat": Answer(
        "/v1/chat/completions",
        "vllm",
        (json.dumps({"choices": [{"message": {"content": "Hello"}}], "usage": USAGE}),),
        stream=False,
    ),
    "responses stream": Answer(
        "/v1/responses",
        "vllm",
        _named(
            {"type": "response.output_text.delta", "delta": "Hello"},
            {"type": "response.completed", "response": {"usage": ANTHROPIC}},
        ),
    ),
    "messages stream": Answer(
        "/v1/messages",
        "vllm",
        _named(
            {"type": "message_start", "message": {"usage": ANTHROPIC}},
            {"type": "content_block_delta", "index": 0, "delta": {"text": "Hello"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": ANTHROPIC},
            {"type": "message_stop"},
        ),
    ),
    "ollama stream": Answer(
        "/api/chat",
        "ollama",
        tuple(
            json.dumps(each) + "\n"
            for each in (
                {"model": "m", "message": {"content": "Hello"}, "done": False},
                {"model": "m", "done": True, "prompt_eval_count": 5, "eval_count": 2},
            )
        ),
    ),
}


class Backend:
    """Answers with the first `cut` bytes of an answer, then closes; the request says how many."""

    def __init__(self, answer: Answer) -> None:
        self._raw = answer.raw()
        self._ollama = answer.engine == "ollama"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        cut = re.search(rb"cut-(\d+)-(\w+)", body)
        if cut is None:  # a probe
            listed = {"models": [{"name": "m"}]} if self._ollama else {"data": [{"id": "m"}]}
            text = json.dumps(listed)
            fields = f"Connection: close\r\nContent-Length: {len(text)}"
            writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{text}".encode())
        else:
            writer.write(self._raw[: int(cut[1])])
            if cut[2] == b"rst":
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()


def _decoded(raw: bytes) -> tuple[bytes, bool]:
    """Of the chunks that are there: the bytes of the body, and whether it is all of it."""
    body, at = b"", 0
    while (end := raw.find(b"\r\n", at)) != -1:
        size = int(raw[at:end], 16)
        if size == 0:
            return body, raw.endswith(b"\r\n\r\n")
        body += raw[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
    return body, False


async def _ask(it: Gateway, answer: Answer, model: str, cut: int, how: str, slow: bool) -> bytes:
    """All that the gateway sends, its head with it."""
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": f"cut-{cut}-{how}"}],
        "input": f"cut-{cut}-{how}",
        "max_tokens": 9,
        "stream": answer.stream,
        **({"stream_options": {"include_usage": True}} if "chat" in answer.path else {}),
    }
    if answer.path != "/v1/responses":
        del asked["input"]
    else:
        del asked["messages"], asked["max_tokens"]
    if answer.engine == "ollama" or not answer.stream:
        asked.pop("stream_options", None)
    body = json.dumps(asked).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port, limit=512)
    writer.write(
        f"POST {answer.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {it.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    got = b""
    while piece := await reader.read(40 if slow else 65536):
        got += piece
        if slow:
            await asyncio.sleep(0.001)
    writer.close()
    return got


def _told(answer: Answer, got: bytes, sent: bytes, how: str) -> str:
    """What the client makes of it: "error", "broken" (told), "cut" (to be seen) or "whole"."""
    head, _, rest = got.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if len(sent) < len(answer.head()):
        assert status in (502, 503), got
        assert json.loads(rest if b"chunked" not in head.lower() else _decoded(rest)[0])["error"]
        return "error"
    came, all_came = _decoded(sent[len(answer.head()) :])
    if status != 200:  # it broke off before anything went on; a reset may take all of it along
        assert how == "rst" or not all_came, got
        assert json.loads(rest if b"chunked" not in head.lower() else _decoded(rest)[0])["error"]
        return "error"
    chunked = b"transfer-encoding: chunked" in head.lower()
    body, complete = _decoded(rest) if chunked else (rest, True)
    same = next(
        (at for at, (a, b) in enumerate(zip(body, came, strict=False)) if a != b), len(body)
    )
    added = body[min(same, len(came)) :]
    if how == "fin":
        assert body.startswith(came), (body, came)
    if added:
        assert answer.stream, added
        line = added.strip().splitlines()[-1].removeprefix(b"data: ")
        assert "error" in json.dumps(json.loads(line)), added
        return "broken"
    if not (complete and (all_came or not chunked)):
        return "cut"
    return "whole"


async def _campaign(it: Gateway, answer: Answer, cuts: list[tuple[int, str]]) -> list[str]:
    port = int(re.search(r"127\.0\.0\.1:(\d+), engine", it.file.read_text())[1])  # type: ignore[index]
    server = await asyncio.start_server(Backend(answer).serve, "127.0.0.1", port)
    raw, gate, numbers = answer.raw(), asyncio.Semaphore(AT_ONCE), itertools.count()
    await asyncio.to_thread(until, lambda: it.backend("a")["state"] == "up")

    async def one(cut: int, how: str) -> str:
        async with gate:
            number = next(numbers)
            model = ("m", "own")[number % 2]
            slow = number % SLOW_EVERY == 0
            got = await asyncio.wait_for(_ask(it, answer, model, cut, how, slow), 60)
            return _told(answer, got, raw[:cut], how)

    try:
        return await asyncio.gather(*(one(cut, how) for cut, how in cuts))
    finally:
        server.close()


def _cuts(answer: Answer) -> Iterator[tuple[int, str]]:
    for cut in range(0, len(answer.raw()) + 1, STEP):
        yield cut, "fin"
        yield cut, "rst"
        yield len(answer.raw()), "fin"  # whole ones between them keep the breaker shut


def _lines(it: Gateway, answer: Answer) -> list[dict[str, Any]]:
    return [each for each in it.log() if each["uri"] == answer.path]


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_came_is_passed_on_and_that_it_broke_off_is_told(engine: str, kind: str) -> None:
    answer, port = ANSWERS[kind], free_port()
    with gateway(engine, CONFIG.format(port=port, engine=answer.engine)) as it:
        cuts = list(_cuts(answer))
        told = asyncio.run(_campaign(it, answer, cuts))
        print(engine, kind, {each: told.count(each) for each in sorted(set(told))})
        assert told[-1] == "whole", "all of it, and a polite end"
        until(lambda: len(_lines(it, answer)) >= len(cuts))
        lines = _lines(it, answer)
        assert len(lines) == len(cuts), "each request has its line"
        seen_as_broken = sum(bool(each["error"]) for each in lines)
        assert seen_as_broken >= sum(each in ("error", "broken") for each in told)

        def at_rest() -> bool:
            live = read(Home(it.home).socket)
            return live.waiting == 0 and not any(live.in_flight.values())

        until(at_rest)
        log = (it.home / "logs" / "error.log").read_text()
        assert "js exception" not in log
        assert "exited on signal" not in log
