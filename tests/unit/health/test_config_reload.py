"""A reloaded configuration keeps what is known of the backends it did not change."""

from __future__ import annotations

import asyncio

import pytest

from infergate.config.backends import Backend, Health

pytestmark = pytest.mark.anyio


async def test_an_update_keeps_the_state_of_unchanged_backends(
    box, engine_answers, running, until
) -> None:
    server, other = await box(engine_answers["vllm"]), await box(engine_answers["llamacpp"])
    async with running({"a": server.url, "gone": other.url}) as monitor:
        await until(lambda: monitor.status("a").models and monitor.status("gone").models)
        before = monitor.status("a")
        monitor.update(
            {"new": Backend(url=other.url), "a": Backend(url=server.url, weight=7)},
            Health(interval=0.2, timeout=0.5, rise=1, fall=1),
        )
        after = monitor.status("a")
        assert (after.state, after.since, after.models) == ("up", before.since, before.models)
        assert after.checks >= before.checks
        assert monitor.status("gone") is None
        assert [status.name for status in monitor.statuses()] == ["new", "a"]
        await until(lambda: monitor.status("new").state == "up")
        await until(lambda: monitor.status("a").checks > after.checks + 1)


async def test_an_update_that_moves_a_backend_starts_from_unknown(
    box, engine_answers, running, until
) -> None:
    server, other = await box(engine_answers["vllm"]), await box(engine_answers["llamacpp"])
    async with running({"a": server.url}) as monitor:
        await until(lambda: monitor.status("a").kind == "vllm")
        monitor.update({"a": Backend(url=other.url)}, Health(interval=0.1))
        assert monitor.status("a").state == "unknown"
        assert monitor.status("a").models == ()
        await until(lambda: monitor.status("a").kind == "llamacpp")
        asked = len(server.requests)
        await asyncio.sleep(0.4)
        assert len(server.requests) == asked  # the old address is left alone


async def test_a_shorter_interval_is_in_force_at_once(box, engine_answers, running, until) -> None:
    server = await box(engine_answers["vllm"])
    async with running({"a": server.url}, Health(interval=3600)) as monitor:
        await until(lambda: monitor.status("a").state == "up")
        monitor.update({"a": Backend(url=server.url)}, Health(interval=0.1))
        await until(lambda: monitor.status("a").checks > 3)
