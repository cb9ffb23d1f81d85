"""When engines are asked for their work, how often, and what a monitor makes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from infergate.config.backends import Health

pytestmark = pytest.mark.anyio


def metrics(tell: Callable[[int], str]) -> Any:
    """/metrics that says tell(n) to the n-th reading."""
    readings = 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal readings
        readings += 1
        text = tell(readings).encode()
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
        await writer.drain()

    return answer


def vllm(running: int, waiting: int, tokens: int) -> str:
    return (
        f"vllm:num_requests_running {running}\nvllm:num_requests_waiting {waiting}\n"
        f"vllm:generation_tokens_total {tokens}\n"
    )


async def test_hung_after_so_long_and_back_with_the_first_token(
    box, engine_answers, running, until
) -> None:
    server = await box({**engine_answers["vllm"], "/metrics": metrics(lambda n: vllm(1, 0, n))})
    seen: list[str] = []
    async with running(
        {"a": {"url": server.url, "engine": "vllm"}},
        Health(interval=0.2, timeout=1, hung_after=1),
        on_change=lambda status: seen.append(status.state),
    ) as monitor:
        await until(lambda: len(server.paths) > 8)
        assert monitor.status("a").state == "up"
        server.answers["/metrics"] = metrics(lambda _: vllm(1, 0, 7))
        assert await until(lambda: monitor.status("a").state == "hung") >= 0.8
        assert not monitor.status("a").serves
        assert monitor.status("a").recovered_at is None
        server.answers["/metrics"] = metrics(lambda n: vllm(1, 0, 7 + n))
        slow = time.time()
        await until(lambda: monitor.status("a").state == "up")
        assert slow <= monitor.status("a").recovered_at <= time.time()
        await until(lambda: [s for s in seen if s != "up"] == ["hung"])


async def test_hung_ends_when_the_engine_has_no_requests_any_more(
    box, engine_answers, running, until
) -> None:
    server = await box({**engine_answers["vllm"], "/metrics": metrics(lambda _: vllm(1, 0, 7))})
    health = Health(interval=0.1, timeout=1, hung_after=0.5)
    async with running({"a": {"url": server.url, "engine": "vllm"}}, health) as monitor:
        await until(lambda: monitor.status("a").state == "hung")
        server.answers["/metrics"] = metrics(lambda _: vllm(0, 0, 7))
        await until(lambda: monitor.status("a").state == "up")


async def test_hung_after_0_is_never(box, engine_answers, running, until) -> None:
    server = await box({**engine_answers["vllm"], "/metrics": metrics(lambda _: vllm(1, 0, 7))})
    health = Health(interval=0.1, timeout=1, hung_after=0)
    async with running({"a": {"url": server.url, "engine": "vllm"}}, health) as monitor:
        await until(lambda: monitor.status("a").checks > 10)
        assert monitor.status("a").state == "up"


async def test_a_saturated_engine_is_probed_up_to_four_times_less_often(
    box, engine_answers, running, until
) -> None:
    full = await box({**engine_answers["vllm"], "/metrics": metrics(lambda n: vllm(8, 9, n))})
    calm = await box({**engine_answers["vllm"], "/metrics": metrics(lambda n: vllm(8, 0, n))})
    backends = {
        name: {"url": each.url, "engine": "vllm"} for name, each in (("full", full), ("calm", calm))
    }
    async with running(backends, Health(interval=0.1, timeout=1)) as monitor:
        await until(lambda: monitor.status("calm").checks >= 30)
        assert 5 <= monitor.status("full").checks <= 15
        assert monitor.status("full").state == "slow"
        full.answers["/metrics"] = metrics(lambda n: vllm(0, 0, n))
        await until(lambda: monitor.status("full").state == "up")


async def test_a_saturated_engine_that_dies_is_down_soon(
    box, engine_answers, running, until
) -> None:
    server = await box({**engine_answers["vllm"], "/metrics": metrics(lambda n: vllm(8, 9, n))})
    health = Health(interval=0.4, timeout=0.4, fall=3)
    async with running({"a": {"url": server.url, "engine": "vllm"}}, health) as monitor:
        await until(lambda: monitor.status("a").vitals.spacing == 4)
        await server.stop()
        took = await until(lambda: monitor.status("a").state == "down")
    assert took <= (3 + 3) * 0.4 + 0.4 + 0.4  # the last 0.4 for a busy machine


@pytest.mark.parametrize(("ours", "asked"), [(0, False), (1, True)])
async def test_llama_cpp_is_asked_only_while_it_is_in_use(
    box, engine_answers, running, until, ours: int, asked: bool
) -> None:
    slots = [{"id": 0, "is_processing": True, "next_token": [{"n_decoded": 5}]}]
    without = (501, {"error": {"message": "Start it with `--metrics`"}})
    answers = {**engine_answers["llamacpp"], "/metrics": without, "/slots": (200, slots)}
    server = await box(answers)
    backends = {"a": {"url": server.url, "engine": "llamacpp"}}
    async with running(backends, ours=ours) as monitor:
        await until(lambda: monitor.status("a").checks > 5)
        work = monitor.status("a").vitals.work
    assert ("/slots" in server.paths) == asked
    assert (work is not None and work.running) == (1 if asked else False)


async def test_a_server_without_metrics_is_not_asked_again_at_once(
    box, engine_answers, running, until
) -> None:
    server = await box(engine_answers["vllm"])
    async with running({"a": {"url": server.url, "engine": "vllm"}}) as monitor:
        await until(lambda: monitor.status("a").checks > 10)
        assert server.paths.count("/metrics") == 1
        await server.stop()
        await until(lambda: monitor.status("a").state == "down")
        await server.start()
        await until(lambda: server.paths.count("/metrics") == 2)


async def test_metrics_that_hang_take_no_backend_down(
    box, engine_answers, running, until, silence
) -> None:
    server = await box({**engine_answers["vllm"], "/metrics": silence})
    async with running({"a": {"url": server.url, "engine": "vllm"}}) as monitor:
        await until(lambda: monitor.status("a").checks > 5)
        assert (monitor.status("a").state, monitor.status("a").failures) == ("up", 0)
