"""Our requests in flight around a moment, from readings of shared memory."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from infergate.control import live
from infergate.control.live import Live
from infergate.control.load import peers_of
from infergate.errors import StateError
from infergate.live.shared_memory import LiveState

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def state(in_flight: int) -> LiveState:
    return LiveState(1, 0, 0, {"a": in_flight}, {}, {}, {}, 0, {})


async def following(monkeypatch: Any, readings: list[int | None]) -> tuple[Live, list[float]]:
    """A Live that has seen these counts of one backend; None is a reading that failed."""
    coming = iter(readings)

    def read(_: Path) -> LiveState:
        count = next(coming)
        if count is None:
            raise StateError("nginx is away")
        return state(count)

    monkeypatch.setattr(live, "INTERVAL_S", 0.01)
    monkeypatch.setattr(live, "read", read)
    it = Live(Path("socket"))
    times: list[float] = []
    task = asyncio.create_task(it.run())
    for _ in readings:
        await it.next()
        times.append(it.read_at)
    task.cancel()
    return it, times


async def test_the_least_since_a_moment_includes_the_reading_before_it(monkeypatch: Any) -> None:
    it, times = await following(monkeypatch, [0, 3, 1, 2])
    assert it.least("a", times[3]) == 2
    assert it.least("a", times[2] + 0.001) == 1
    assert it.least("a", times[1]) == 1
    assert it.least("a", 0) == 0
    assert it.least("b", times[3]) == 0


async def test_the_most_around_a_moment(monkeypatch: Any) -> None:
    it, times = await following(monkeypatch, [0, 3, 1, 2])
    assert it.most("a", times[0], times[3]) == 3
    assert it.most("a", times[2], times[3]) == 2
    assert it.most("a", times[3] + 1, times[3] + 2) == 0


async def test_what_was_in_flight_is_gone_with_the_nginx_that_had_it(monkeypatch: Any) -> None:
    it, _ = await following(monkeypatch, [4, None])
    assert it.state is None
    assert it.least("a", 0) == 0


def test_peers_share_a_model() -> None:
    def route(model: str, *names: str) -> str:
        backends = [[name, 1, 0, "", "", ""] for name in names]
        return json.dumps([model, "least_busy", backends, 0, 0])

    routes = {"m": route("m", "a", "b"), "alias": route("m", "a", "b"), "e": route("e", "c", "b")}
    assert peers_of(routes) == {"a": {"b"}, "b": {"a", "c"}, "c": {"b"}}
