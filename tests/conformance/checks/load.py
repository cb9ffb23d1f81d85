"""Thousands of streams at a time: each whole, and all of them at once at the backend."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.conformance.answers import (
    DONE,
    FIRST_EVENT,
    LAST_CHUNK,
    SSE_HEAD,
    STOP_EVENT,
    chunk,
    text_event,
)
from tests.conformance.bench import Bench, expect
from tests.conformance.sse import Events, parse
from tests.conformance.suite import check
from tests.conformance.wire_script import Script, Step

GROUP = "load"
OPENING = 200
"""So many clients open a connection at the same time; more and the kernel's queue decides."""
LIMIT_S = 120
TEXTS = [f"{number} " for number in range(5)]
EVENTS = [text_event(text) for text in TEXTS]
SCRIPT = Script(
    (
        Step(SSE_HEAD),
        Step(chunk(FIRST_EVENT)),
        Step(chunk(EVENTS[0]), 0.2, gate=True, ping_s=1),
        *(Step(chunk(each), 0.2) for each in EVENTS[1:]),
        Step(chunk(STOP_EVENT + DONE)),
        Step(LAST_CHUNK),
    )
)


@check(GROUP, "concurrent streams arrive whole", 2 * LIMIT_S)
async def streams(bench: Bench) -> str:
    """Every stream stops after its first event until all have got there."""
    count = bench.options.streams
    await bench.play(SCRIPT)
    opening = asyncio.Semaphore(OPENING)
    begun = 0
    over = asyncio.Event()

    async def one() -> str:
        nonlocal begun
        has_begun = False
        try:
            await opening.acquire()
            try:
                async with bench.ask(stream=True) as asked:
                    await asked.head()
                    read = await asked.read_until(b"assistant")
                    opening.release()
                    has_begun = True
                    begun += 1
                    if begun == count:
                        over.set()
                    body = read + (await asked.rest()).body
            finally:
                if not has_begun:
                    opening.release()
        except OSError as problem:
            return f"{type(problem).__name__}"
        if asked.status != 200 or asked.cut:
            return f"status {asked.status}, cut: {asked.cut}"
        return "whole" if _is_whole(parse(body)) else "another text"

    began = time.monotonic()
    tasks = [asyncio.ensure_future(one()) for _ in range(count)]
    await _until_all_begun_or_stuck(tasks, over)
    opened_s = time.monotonic() - began
    await bench.backends.release(count)
    _, late = await asyncio.wait(tasks, timeout=LIMIT_S - opened_s)
    for each in late:
        each.cancel()
    ended = Counter(each.result() for each in tasks if each not in late)
    ended["not over"] = len(late)
    most = await bench.backends.max_open()
    expect(ended["whole"] == count, f"{dict(+ended)}; at most {most} at once")
    expect(most >= 0.9 * count, f"all whole, but at most {most} of {count} at once")
    took_s = time.monotonic() - began
    return f"{count}, {most} at once, opened in {opened_s:.1f} s, over after {took_s:.1f} s"


def _is_whole(events: Events) -> bool:
    text = events.text == "".join(TEXTS)
    return text and events.finish_reasons == ["stop"] and events.done


async def _until_all_begun_or_stuck(
    tasks: Sequence[asyncio.Future[str]], over: asyncio.Event
) -> None:
    """All streams have their first event or are over; or half the time has gone."""
    begun = asyncio.ensure_future(over.wait())
    all_over = asyncio.ensure_future(asyncio.wait(tasks))
    waiting: list[asyncio.Future[Any]] = [begun, all_over]
    await asyncio.wait(waiting, timeout=LIMIT_S / 2, return_when=asyncio.FIRST_COMPLETED)
    begun.cancel()
    all_over.cancel()
