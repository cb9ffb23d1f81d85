"""The probe loops: who is up when, and that nobody disturbs anybody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from infergate.config.backends import Backend, Health
from infergate.health import watch
from infergate.health.ask import OurFault
from infergate.health.monitor import BackendStatus, Monitor

pytestmark = pytest.mark.anyio


async def test_before_the_first_probe_everything_is_unknown() -> None:
    monitor = Monitor({"a": Backend(url="http://127.0.0.1:1")}, Health(interval=0.1))
    (status,) = monitor.statuses()
    assert (status.name, status.state, status.checks) == ("a", "unknown", 0)


async def test_the_first_good_probe_brings_a_backend_up_at_once(
    box, engine_answers, running, until
) -> None:
    server = await box(engine_answers["vllm"])
    slow, began = Health(interval=60, timeout=2, rise=5, fall=5), time.time()
    async with running({"a": server.url}, slow) as monitor:
        await until(lambda: monitor.status("a").models)
        status = monitor.status("a")
    assert (status.state, status.kind, status.version) == ("up", "vllm", "0.32.0")
    assert [model.id for model in status.models] == ["qwen"]
    assert status.last_latency_s is not None
    assert began <= status.since <= time.time()


async def test_leaving_takes_fall_intervals_and_coming_back_rise_intervals(
    box, engine_answers, running, until
) -> None:
    server = await box(engine_answers["vllm"])
    health = Health(interval=0.4, timeout=0.4, rise=2, fall=3)
    async with running({"a": {"url": server.url, "engine": "vllm"}}, health) as monitor:
        await until(lambda: monitor.status("a").state == "up")
        await server.stop()
        took = await until(lambda: monitor.status("a").state == "down")
        assert 2 * 0.36 - 0.1 <= took <= 3 * 0.4 + 0.4 + 0.4  # the last 0.4 for a busy machine
        assert monitor.status("a").reason == "connection refused"
        await server.start()
        took = await until(lambda: monitor.status("a").state == "up")
        assert 0.36 - 0.1 <= took <= 2 * 0.4 + 0.4 + 0.4
        assert monitor.status("a").reason == "HTTP 200 from /health"


async def test_a_backend_may_be_asked_less_often_than_the_others(
    box, engine_answers, running, until
) -> None:
    """Its models too; and an apply that says otherwise is taken over."""
    servers = [await box(engine_answers["vllm"]) for _ in range(2)]
    often, seldom = ({"url": server.url, "engine": "vllm"} for server in servers)
    backends = {"a": often, "b": {**seldom, "check_interval": "1h", "check_timeout": "9s"}}
    async with running(backends, Health(interval=0.1, timeout=1)) as monitor:
        await until(lambda: monitor.status("a").checks >= 10 and monitor.status("b").models)
        assert monitor.status("b").checks == 1
        monitor.update({"b": Backend(**seldom)}, Health(interval=0.1, timeout=1))
        await until(lambda: monitor.status("b").checks >= 5)


async def test_one_failed_probe_takes_nobody_down(box, engine_answers, running, until) -> None:
    server = await box(engine_answers["vllm"])
    flapping = iter([True, False, True, False, False] * 1000)

    async def flap(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status = 200 if next(flapping) else 503
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()

    server.answers["/health"] = flap
    seen: list[str] = []
    async with running(
        {"a": {"url": server.url, "engine": "vllm"}}, on_change=lambda s: seen.append(s.state)
    ) as monitor:
        await until(lambda: monitor.status("a").checks >= 15)
        assert monitor.status("a").failures >= 5
    assert set(seen) == {"up"}


async def test_a_hanging_backend_disturbs_no_other(
    box, engine_answers, running, until, silence
) -> None:
    good, bad = await box(engine_answers["vllm"]), await box({"/health": silence})
    health = Health(interval=0.2, timeout=1.5, rise=2, fall=1)
    backends = {f"bad{n}": {"url": bad.url, "engine": "vllm"} for n in range(20)}
    async with running({**backends, "a": good.url}, health) as monitor:
        await until(lambda: monitor.status("bad0").state == "down")
        assert monitor.status("a").state == "up"
        assert monitor.status("a").checks >= 4
        assert monitor.status("bad0").reason == "no answer within 1.5 s"


async def test_probes_of_one_backend_never_overlap(box, running, until) -> None:
    at_once, most = 0, 0

    async def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.25)
        at_once -= 1
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    server = await box({"/health": count})
    health = Health(interval=0.1, timeout=2)
    async with running({"a": {"url": server.url, "engine": "vllm"}}, health) as monitor:
        await until(lambda: monitor.status("a").checks >= 5)
    assert most == 1


async def test_changes_are_told_and_a_failing_listener_ends_nothing(
    box, engine_answers, running, until
) -> None:
    server = await box(engine_answers["vllm"])
    seen: list[BackendStatus] = []

    async def listener(status: BackendStatus) -> None:
        seen.append(status)
        raise RuntimeError("a bug in the listener")

    async with running({"a": server.url}, on_change=listener) as monitor:
        await until(lambda: seen and seen[-1].models)
        await server.stop()
        await until(lambda: seen[-1].state == "down")
        assert monitor.status("a").state == "down"


async def test_a_new_reason_for_being_down_is_told(box, running, until) -> None:
    server = await box({"/health": (503, {"error": {"message": "Loading model"}})})
    seen: list[str] = []
    backends = {"a": {"url": server.url, "engine": "llamacpp"}}
    async with running(backends, on_change=lambda status: seen.append(status.reason)):
        await until(lambda: seen == ["loading its model"])
        await server.stop()
        await until(lambda: seen[-1] == "connection refused")
    assert len(seen) < 6  # and not with every probe


async def test_a_slow_listener_delays_no_probe_and_hears_the_newest(
    box, engine_answers, running, until
) -> None:
    server = await box(engine_answers["vllm"])
    seen: list[str] = []

    async def listener(status: BackendStatus) -> None:
        await asyncio.sleep(0.6)
        seen.append(status.state)

    async with running({"a": server.url}, on_change=listener) as monitor:
        await until(lambda: monitor.status("a").checks >= 3)
        await server.stop()
        await until(lambda: seen and seen[-1] == "up" and monitor.status("a").state == "down")
        await until(lambda: seen[-1] == "down")


async def test_what_this_process_cannot_do_takes_no_backend_down(
    box, engine_answers, monkeypatch, running, until
) -> None:
    server = await box(engine_answers["vllm"])
    async with running({"a": server.url}) as monitor:
        await until(lambda: monitor.status("a").models)
        failed = 0

        async def no_descriptors(*_: Any) -> Any:
            nonlocal failed
            failed += 1
            raise OurFault("Too many open files")

        monkeypatch.setattr(watch, "probe", no_descriptors)
        await until(lambda: failed > 5)
        assert monitor.status("a").state == "up"


async def test_an_unforeseen_exception_does_not_end_the_watch(
    box, engine_answers, monkeypatch, running, until
) -> None:
    server = await box(engine_answers["vllm"])
    real: Callable[..., Awaitable[Any]] = watch.probe
    calls = 0

    async def buggy(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise KeyError("a bug")
        return await real(*arguments)

    monkeypatch.setattr(watch, "probe", buggy)
    async with running({"a": server.url}) as monitor:
        await until(lambda: monitor.status("a").state == "up")


async def test_stopping_leaves_no_task_behind(box, engine_answers, running, until, silence) -> None:
    server = await box({**engine_answers["vllm"], "/v1/models": silence})
    before = asyncio.all_tasks()
    async with running({"a": server.url, "b": {"url": server.url, "engine": "vllm"}}) as monitor:
        await until(lambda: monitor.status("b").state == "up")
    await server.stop()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= before


async def test_no_first_probe_waits_for_another_that_hangs(box, running, until, silence) -> None:
    names = [f"b{n}" for n in range(200)]
    server = await box({f"/{name}/health": silence for name in names})
    patient = Health(interval=60, timeout=60)
    backends = {name: {"url": f"{server.url}/{name}", "engine": "vllm"} for name in names}
    async with running(backends, patient):
        await until(lambda: len(server.requests) == len(names))


async def test_a_busy_process_makes_no_backend_look_slow(box, engine_answers, running) -> None:
    async def busy() -> None:
        while True:
            time.sleep(0.08)
            await asyncio.sleep(0)

    server = await box(engine_answers["vllm"])
    states: list[str] = []
    health = Health(interval=0.1, timeout=1.0)
    async with running(
        {"a": {"url": server.url, "engine": "vllm"}}, health, lambda s: states.append(s.state)
    ) as monitor:
        burden = asyncio.create_task(busy())
        while monitor.status("a").checks < 5:
            await asyncio.sleep(0)
        burden.cancel()
    assert "slow" not in states
