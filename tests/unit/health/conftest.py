"""Servers that answer like each engine, or worse, on real sockets.

A `Box` listens on a free port of the loopback address, answers the paths it was given and writes
down every request. What it was not given is a 404.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infergate.config.backends import Backend, Health
from infergate.health.ask import Target, make_client
from infergate.health.monitor import Monitor
from infergate.health.probe import ProbeResult, probe

Misbehaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Box:
    """One fake backend.

    answers: by path, either (status, body) or (status, body, headers) or a coroutine function
        that gets the reader and writer after the request was read and may do what it likes.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [path for _, path in self.requests]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            self.requests.append((method, path))
            lines = (line.partition(": ") for line in head[1:] if line)
            self.headers.append({name.lower(): value for name, _, value in lines})
            answer = self.answers.get(path, (404, {"error": "not found"}))
            if callable(answer):
                await answer(reader, writer)
                return
            status, body, *more = answer
            payload = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {"content-length": str(len(payload)), **(more[0] if more else {})}
            text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"HTTP/1.1 {status} X\r\n{text}\r\n".encode() + payload)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


async def _silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(reader.read(), 30)


@pytest.fixture
def silence() -> Misbehaviour:
    """An answer that never comes."""
    return _silence


@pytest.fixture
def probed() -> Callable[..., Awaitable[ProbeResult]]:
    """Probes a URL once: `await probed(url, "vllm", timeout_s=0.3)`."""

    async def probe_once(url: str, kind: Any = None, **options: Any) -> ProbeResult:
        options.setdefault("timeout_s", 2.0)
        client = make_client()
        return await probe(client, Target(url, kind, **options))

    return probe_once


_FAST = Health(interval=0.1, timeout=0.3, rise=2, fall=3)


@contextlib.asynccontextmanager
async def _running(
    backends: dict[str, Any], health: Health = _FAST, on_change: Any = None, ours: int = 0
) -> AsyncIterator[Monitor]:
    typed = {name: Backend.model_validate(value) for name, value in backends.items()}
    monitor = Monitor(typed, health, on_change, lambda _name, _since: ours)
    task = asyncio.create_task(monitor.run())
    try:
        yield monitor
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task


@pytest.fixture
def running() -> Any:
    """A monitor at work: `async with running({"a": url}) as monitor`. ours: requests in flight."""
    return _running


@pytest.fixture
def until() -> Callable[..., Awaitable[float]]:
    """Waits for a condition and returns how many seconds it took."""

    async def wait(condition: Callable[[], Any], within_s: float = 60.0) -> float:
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < within_s, "it did not happen in time"
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    return wait


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def box() -> AsyncIterator[Callable[..., Awaitable[Box]]]:
    """Starts fake backends: `await box({"/health": (200, {})})`."""
    started: list[Box] = []

    async def start(answers: dict[str, Any] | None = None, port: int = 0) -> Box:
        made = Box(dict(answers or {}), port=port)
        await made.start()
        started.append(made)
        return made

    yield start
    for each in started:
        await each.stop()


ANSWERS = Path(__file__).parents[1] / "kinds" / "answers"


@pytest.fixture
def engine_answers() -> dict[str, dict[str, Any]]:
    """What each kind answers to the paths it has, as its own documentation or source has it."""
    return {path.stem: _answers(json.loads(path.read_text())) for path in ANSWERS.glob("*.json")}


def _answers(said: dict[str, Any]) -> dict[str, Any]:
    """Text as bytes, which a Box sends as they are."""
    return {
        path: (status, body.encode() if isinstance(body, str) else body)
        for path, (status, body) in said.items()
    }
