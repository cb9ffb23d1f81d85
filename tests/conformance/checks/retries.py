"""What is asked again of the other backend, and what must not be.

Nothing may be asked again once a byte has reached the client, and nothing the client itself got
wrong. "Whichever backend is asked first" fails, so the balancing policy does not matter.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.conformance.answers import (
    RESET,
    body_of_completion,
    broken_stream,
    error,
    head,
)
from tests.conformance.bench import Bench, FailedError, SkippedError, expect
from tests.conformance.checks.verdicts import expect_cut_is_told
from tests.conformance.client import Reply
from tests.conformance.sse import parse
from tests.conformance.suite import check
from tests.conformance.wire_script import Script, Step

GROUP = "retries"


def _expect_good(reply: Reply, what: str) -> None:
    expect(reply.status == 200 and not reply.cut, f"{what}: {reply}")
    if reply.headers.get("content-type", "").startswith("text/event-stream"):
        expect(parse(reply.body).finish_reasons == ["stop"], f"{what}: not whole: {reply}")


async def _answered_by_the_other(bench: Bench, fault: Script) -> str:
    """The first attempt fails, the second is answered; a stream and no stream."""
    bench.need_two()
    for streaming in (False, True):
        await bench.fresh()
        await bench.play(replace(fault, times=1))
        reply = await bench.fetch(stream=streaming)
        ports = [each["port"] for each in await bench.backends.attempts()]
        what = f"{'stream' if streaming else 'no stream'}, {len(ports)} attempts"
        _expect_good(reply, what)
        expect(len(set(ports)) == 2, f"{what}, not on both backends")
        expect(len(ports) == 2, what)
    return "stream and no stream"


async def _asked_once(bench: Bench, fault: Script, *, streaming: bool) -> Reply:
    bench.need_two()
    await bench.play(replace(fault, times=1))
    reply = await bench.fetch(stream=streaming)
    await asyncio.sleep(0.2)
    attempts = len(await bench.backends.attempts())
    expect(attempts == 1, f"asked {attempts} times; the client saw {reply}")
    return reply


@check(GROUP, "502 is answered by the other backend")
async def bad_gateway(bench: Bench) -> str:
    return await _answered_by_the_other(bench, error(502))


@check(GROUP, "503 is answered by the other backend")
async def unavailable(bench: Bench) -> str:
    return await _answered_by_the_other(bench, error(503))


@check(GROUP, "504 is answered by the other backend")
async def gateway_timeout(bench: Bench) -> str:
    return await _answered_by_the_other(bench, error(504))


@check(GROUP, "429 is answered by the other backend")
async def too_many(bench: Bench) -> str:
    return await _answered_by_the_other(bench, error(429, retry_after="1"))


@check(GROUP, "a reset before the head is answered by the other backend")
async def reset(bench: Bench) -> str:
    return await _answered_by_the_other(bench, RESET)


@check(GROUP, "a connection closed before the head is answered by the other backend")
async def closed(bench: Bench) -> str:
    return await _answered_by_the_other(bench, Script((), "close"))


@check(GROUP, "a refused connection is answered by the other backend")
async def refused(bench: Bench) -> str:
    bench.need_two()
    for port in bench.backends.ports:
        await bench.fresh()
        await bench.backends.refuse(port)
        for number in range(8):
            reply = await bench.fetch(stream=number % 2 == 1)
            _expect_good(reply, f"request {number} while port {port} refuses")
    return "each backend in turn, 8 requests"


@check(GROUP, "a kept connection the backend closes as the next request comes costs no error")
async def stale(bench: Bench) -> str:
    bench.need_two()
    closes = Script((), "close", reused_only=True)
    met = 0
    for number in range(40):
        if number % 4 == 0:
            await bench.play(replace(closes, times=1))
        reply = await bench.fetch(stream=number % 2 == 1)
        attempts = await bench.backends.attempts()
        met = sum(1 for each in attempts if each["script"] is not None)
        _expect_good(reply, f"{met} closed connections met")
    if not met:
        raise SkippedError("the gateway keeps no connections to its backends")
    return f"{met} met"


@check(GROUP, "kept connections the backends have closed in idleness cost no error")
async def idle_closed(bench: Bench) -> str:
    """Needs no second backend: the gateway could see it before it asked."""
    dropped = 0
    for number in range(20):
        reply = await bench.fetch(stream=number % 2 == 1)
        _expect_good(reply, f"{dropped} connections closed so far")
        dropped += await bench.backends.drop_idle()
        await asyncio.sleep(0.05)
    if not dropped:
        raise SkippedError("the gateway keeps no connections to its backends")
    return f"{dropped} closed"


@check(GROUP, "400 is not asked again")
async def bad_request(bench: Bench) -> None:
    reply = await _asked_once(bench, error(400), streaming=False)
    expect(reply.status == 400, str(reply))


@check(GROUP, "a stream that breaks after its first event is not asked again")
async def broken_in_a_stream(bench: Bench) -> str:
    return expect_cut_is_told(await _asked_once(bench, broken_stream("reset"), streaming=True))


@check(GROUP, "a body that breaks in its middle is not asked again once the client has bytes")
async def broken_in_a_body(bench: Bench) -> str:
    bench.need_two()
    body = body_of_completion()
    begin = head(content_type="application/json", content_length=str(len(body))) + body[:50]
    await bench.play(Script((Step(begin, 0.3),), "reset", times=1))
    async with bench.ask(stream=False) as asked:
        async with asyncio.timeout(30):
            reply = await asked.rest()
    if reply.status == 200 and not reply.cut:
        # A gateway that had sent nothing yet may ask again.
        expect(reply.json is not None, f"two answers in one, or half a one: {reply}")
        return "the gateway held the body back and asked again"
    attempts = len(await bench.backends.attempts())
    if reply.status == 200 and attempts != 1:
        raise FailedError(f"asked {attempts} times; the client saw {reply}")
    return f"{reply.status}, {attempts} attempts"
