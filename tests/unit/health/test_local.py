"""Looking for engines on this machine: all of them, nothing else, and quickly."""

from __future__ import annotations

import asyncio
import socket

import pytest

from infergate.health import local
from infergate.health.local import FoundEngine, find_local_engines

pytestmark = pytest.mark.anyio


def _give_time(monkeypatch: pytest.MonkeyPatch, search_s: float, per_request_s: float) -> None:
    """For a machine that is busy with other tests."""
    monkeypatch.setattr(local, "SEARCH_S", search_s)
    monkeypatch.setattr(local, "PER_REQUEST_S", per_request_s)


async def test_every_kind_is_found_at_once(box, engine_answers, monkeypatch) -> None:
    _give_time(monkeypatch, 60, 20)
    servers = {kind: await box(answers) for kind, answers in engine_answers.items()}
    found = await find_local_engines(tuple(server.port for server in servers.values()))
    assert [engine.kind for engine in found] == list(servers)
    assert FoundEngine(servers["vllm"].port, "vllm", ("qwen",)) in found
    assert {method for server in servers.values() for method, _ in server.requests} == {"GET"}


async def test_our_own_gateway_is_no_engine(box, engine_answers) -> None:
    gateway = await box(
        {**engine_answers["ollama"], "/healthz": (200, b"ok\n", {"x-infergate": "ok"})}
    )
    assert await find_local_engines((gateway.port,)) == []
    assert gateway.paths == ["/healthz"]


async def test_another_web_server_is_no_engine(box) -> None:
    page = (200, b"<html>hello</html>")
    site = await box(dict.fromkeys(("/", "/healthz", "/v1/models", "/version", "/health"), page))
    api = await box({"/version": (200, {"version": "2.1"}), "/health": (200, {"status": "ok"})})
    assert await find_local_engines((site.port, api.port)) == []


async def test_the_search_ends_in_time_whatever_listens(box, engine_answers, monkeypatch) -> None:
    _give_time(monkeypatch, 4, 2)

    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"H")
            await asyncio.sleep(0.05)

    slow = dict.fromkeys(("/v1/models", "/-/healthz", "/api/version"), silence)
    servers = [
        await box({"/healthz": silence}),
        await box({"/healthz": drip}),
        await box(slow),
        await box(engine_answers["llamacpp"]),
    ]
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        ports = (frozen.getsockname()[1], *(server.port for server in servers))
        found = await asyncio.wait_for(find_local_engines(ports), timeout=60)
    assert [engine.port for engine in found] == [servers[-1].port]


async def test_nothing_there_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await find_local_engines((taken.getsockname()[1],)) == []
    assert await find_local_engines(()) == []


async def test_vllm_that_wants_a_key_is_found_without_its_models(box, engine_answers) -> None:
    server = await box({**engine_answers["vllm"], "/v1/models": (401, {})})
    assert await find_local_engines((server.port,)) == [FoundEngine(server.port, "vllm", ())]
