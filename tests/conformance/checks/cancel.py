"""A client that leaves must free the backend: a GPU that writes for nobody is the costliest leak.

The measure is the backend's: its connection is closed before it has said all.
"""

from __future__ import annotations

import asyncio
import time

from tests.conformance.answers import FIRST_EVENT, HANG, SSE_HEAD, chunk, stream, text_event
from tests.conformance.bench import CHAT, Bench, FailedError
from tests.conformance.h2_client import Http2, connected, need_http2
from tests.conformance.suite import check
from tests.conformance.wire_script import Script, Step

GROUP = "cancel"
WITHIN_S = 2

TOKENS_FOR_A_MINUTE = stream(["token "] * 1200, pause_s=0.05)
SILENCE_IN_A_STREAM = Script((Step(SSE_HEAD), Step(chunk(FIRST_EVENT))), "hang")
SILENCE_AFTER_THE_HEAD = Script((Step(SSE_HEAD),), "hang")


async def _aborted(bench: Bench, left_s: float, number: int = 0) -> str:
    """Wait for the backend to be left; how long that took."""
    while time.time() < left_s + WITHIN_S:
        record = (await bench.backends.attempts())[number]
        if record["ended_s"] is not None:
            if not record["aborted"]:
                raise FailedError("the backend had ended by itself")
            return f"after {max(0, record['ended_s'] - left_s) * 1000:.0f} ms"
        await asyncio.sleep(0.02)
    raise FailedError(f"the backend was not aborted within {WITHIN_S} s")


async def _leave(bench: Bench, script: Script, seen: bytes, *, streaming: bool) -> str:
    """Ask, leave once `seen` has come (at once the backend has the request if empty)."""
    await bench.play(script)
    async with bench.ask(stream=streaming) as asked:
        await bench.arrived()
        if seen:
            async with asyncio.timeout(10):
                await asked.head()
                await asked.read_until(seen)
        await asyncio.sleep(0.1)
        left_s = time.time()
        await asked.leave()
        return await _aborted(bench, left_s)


@check(GROUP, "the client leaves before the backend has sent a head")
async def before_the_head(bench: Bench) -> str:
    return await _leave(bench, HANG, b"", streaming=True)


@check(GROUP, "the client leaves between the head and the first token")
async def before_the_first_token(bench: Bench) -> str:
    return await _leave(bench, SILENCE_AFTER_THE_HEAD, b"", streaming=True)


@check(GROUP, "the client leaves while tokens flow")
async def while_tokens_flow(bench: Bench) -> str:
    return await _leave(bench, TOKENS_FOR_A_MINUTE, b"token ", streaming=True)


@check(GROUP, "the client leaves while a stream is silent")
async def while_a_stream_is_silent(bench: Bench) -> str:
    return await _leave(bench, SILENCE_IN_A_STREAM, b"assistant", streaming=True)


@check(GROUP, "the client leaves a request that is no stream")
async def no_stream(bench: Bench) -> str:
    return await _leave(bench, HANG, b"", streaming=False)


@check(GROUP, "many clients that leave leave no request behind")
async def many(bench: Bench) -> str:
    await bench.play(TOKENS_FOR_A_MINUTE)

    async def one() -> None:
        async with bench.ask(stream=True) as asked:
            await asked.head()
            await asked.read_until(b"token ")

    async with asyncio.timeout(30):
        await asyncio.gather(*(one() for _ in range(50)))
    left_s = time.time()
    while time.time() < left_s + WITHIN_S:
        waiting = [each for each in await bench.backends.attempts() if each["ended_s"] is None]
        if not waiting:
            return f"50 aborted after {(time.time() - left_s) * 1000:.0f} ms"
        await asyncio.sleep(0.02)
    raise FailedError(f"{len(waiting)} of 50 were not aborted within {WITHIN_S} s")


def _post(bench: Bench, connection: Http2) -> int:
    return connection.post(bench.gateway, CHAT, bench.headers, bench.body(stream=True))


@check(GROUP, "HTTP/2: a stream is reset before the first token")
async def http2_before_the_first_token(bench: Bench) -> str:
    need_http2(bench.gateway)
    await bench.play(HANG)
    async with connected(bench.gateway) as connection:
        stream_id = _post(bench, connection)
        await bench.arrived()
        left_s = time.time()
        connection.reset(stream_id)
        return await _aborted(bench, left_s)


@check(GROUP, "HTTP/2: a stream is reset while tokens flow, its neighbour goes on")
async def http2_while_tokens_flow(bench: Bench) -> str:
    need_http2(bench.gateway)
    neighbour_says = ["token ", *("n " for _ in range(20)), "end"]
    await bench.play(
        Script(TOKENS_FOR_A_MINUTE.steps, times=1), stream(neighbour_says, pause_s=0.1)
    )
    async with connected(bench.gateway) as connection:
        leaving = _post(bench, connection)
        await bench.arrived()
        staying = _post(bench, connection)
        async with asyncio.timeout(10):
            await connection.until(leaving, b"token ")
            await connection.until(staying, b"token ")
        left_s = time.time()
        connection.reset(leaving)
        remark = await _aborted(bench, left_s)
        async with asyncio.timeout(10):
            body = await connection.whole(staying)
    if text_event("end") not in body or not body.endswith(b"data: [DONE]\n\n"):
        raise FailedError(f"the other stream of the connection ended early: {body[-80:]!r}")
    return remark


@check(GROUP, "HTTP/2: the connection is closed while tokens flow")
async def http2_connection_closed(bench: Bench) -> str:
    need_http2(bench.gateway)
    await bench.play(TOKENS_FOR_A_MINUTE)
    async with connected(bench.gateway) as connection:
        stream_id = _post(bench, connection)
        async with asyncio.timeout(10):
            await connection.until(stream_id, b"token ")
    return await _aborted(bench, time.time())
