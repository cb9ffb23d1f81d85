"""However the backend cuts its bytes, the client sees the same bytes, and sees them in time.

What is right is not written down here: the same script is played to the suite directly, and the
two bodies are compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from tests.conformance.answers import (
    DONE,
    FIRST_EVENT,
    LAST_CHUNK,
    SSE_HEAD,
    STOP_EVENT,
    TEXTS,
    chunk,
    event,
    stream,
    text_event,
)
from tests.conformance.bench import Bench, FailedError, expect
from tests.conformance.sse import parse
from tests.conformance.suite import check
from tests.conformance.wire_script import Script, Step

GROUP = "framing"
AT_ONCE_S = 2

LETTERS = "größer 東京 🚀 नमस्ते "


def _difference(sent: bytes, came: bytes) -> str:
    at = next((n for n, (a, b) in enumerate(zip(sent, came, strict=False)) if a != b), None)
    if at is None:
        at = min(len(sent), len(came))
    what = "the same said in other bytes" if parse(sent) == parse(came) else "not the same"
    return f"{what}, from byte {at}: {sent[at : at + 40]!r} became {came[at : at + 40]!r}"


async def _same(bench: Bench, script: Script) -> str:
    """Play it directly and through the gateway; the bodies must be equal."""
    await bench.play(script)
    directly = await bench.fetch(target=bench.direct, stream=True)
    expect(not directly.cut and directly.body, f"the suite's own script is wrong: {directly}")
    reply = await bench.fetch(stream=True)
    expect(reply.status == 200, str(reply))
    expect(reply.cut is None, f"cut: {reply.cut}")
    expect(reply.body == directly.body, _difference(directly.body, reply.body))
    return f"{len(reply.body)} bytes"


def _pieces(pieces: Sequence[bytes], pause_s: float = 0.01) -> Script:
    """Each piece its own chunk and its own write."""
    steps = [Step(chunk(piece), pause_s) for piece in pieces]
    return Script((Step(SSE_HEAD), *steps, Step(LAST_CHUNK)))


def _raw_letters(text: str) -> bytes:
    """An event whose JSON has its letters as UTF-8, as vLLM writes them."""
    return text_event("@").replace(b"@", text.encode())


@check(GROUP, "one-byte writes")
async def one_byte_writes(bench: Bench) -> str:
    body = FIRST_EVENT + _raw_letters(LETTERS) + STOP_EVENT + DONE
    return await _same(bench, _pieces([body[n : n + 1] for n in range(len(body))], 0.0005))


@check(GROUP, "chunk sizes, CRs and LFs torn apart between writes")
async def torn_framing(bench: Bench) -> str:
    events = (FIRST_EVENT, text_event("one "), STOP_EVENT, DONE)
    wire = SSE_HEAD + b"".join(map(chunk, events)) + LAST_CHUNK
    begin = len(SSE_HEAD)
    steps = [Step(wire[:begin], 0.01)]
    steps += [Step(wire[n : n + 1], 0.0005) for n in range(begin, len(wire))]
    return await _same(bench, Script(tuple(steps)))


@check(GROUP, "letters torn apart between writes")
async def torn_letters(bench: Bench) -> str:
    body = FIRST_EVENT + _raw_letters(LETTERS) + STOP_EVENT + DONE
    cuts = [n for n in range(1, len(body)) if body[n] & 0xC0 == 0x80]
    bounds = [0, *cuts, len(body)]
    return await _same(bench, _pieces([body[a:b] for a, b in pairwise(bounds)]))


@check(GROUP, "one event of 1 MB")
async def large_event(bench: Bench) -> str:
    return await _same(bench, _pieces([FIRST_EVENT, text_event("x" * 2**20), STOP_EVENT, DONE]))


@check(GROUP, "many events in one write")
async def many_in_one_write(bench: Bench) -> str:
    events = [FIRST_EVENT, *(text_event(f"{n} ") for n in range(500)), STOP_EVENT, DONE]
    return await _same(bench, _pieces([b"".join(events)]))


@check(GROUP, "CRLF line ends")
async def crlf(bench: Bench) -> str:
    events = [FIRST_EVENT, text_event("one "), text_event("two "), STOP_EVENT, DONE]
    return await _same(bench, _pieces([each.replace(b"\n", b"\r\n") for each in events]))


@check(GROUP, "an event whose data has several lines")
async def several_lines(bench: Bench) -> str:
    lines = text_event("one ").replace(b', "choices"', b',\ndata: "choices"')
    assert lines.count(b"\n") == 3
    return await _same(bench, _pieces([FIRST_EVENT, lines, STOP_EVENT, DONE]))


@check(GROUP, "comments, `: ping`")
async def comments(bench: Bench) -> str:
    ping = b": ping - 2026-01-01 00:00:00\r\n\r\n"
    return await _same(bench, _pieces([b":\n\n", FIRST_EVENT, ping, STOP_EVENT, ping, DONE]))


@check(GROUP, "event, id and retry fields, and data without a space")
async def other_fields(bench: Bench) -> str:
    named = b"event: chunk\nid: 7\nretry: 1000\n" + text_event("one ")
    tight = text_event("two ").replace(b"data: ", b"data:")
    return await _same(bench, _pieces([FIRST_EVENT, named, tight, STOP_EVENT, DONE]))


@check(GROUP, "fields no gateway knows")
async def unknown_fields(bench: Bench) -> str:
    delta = {"content": "a", "reasoning_content": "b", "wire": [1, 2.50]}
    choice = {"index": 0, "delta": delta, "finish_reason": None, "stop_reason": 1, "logprobs": None}
    strange = event({"choices": [choice], "prompt_token_ids": [1, 2]})
    return await _same(bench, _pieces([FIRST_EVENT, strange, STOP_EVENT, DONE]))


@check(GROUP, "every event arrives before the next one is sent")
async def not_buffered(bench: Bench) -> str:
    await bench.play(stream(gates=True))
    async with bench.ask(stream=True) as asked:
        for number, expected in enumerate([b"assistant", *(t.encode() for t in TEXTS), b'"stop"']):
            try:
                async with asyncio.timeout(AT_ONCE_S):
                    if number == 0:
                        expect(await asked.head() == 200, f"status {asked.status}")
                    read = await asked.read_until(expected)
            except TimeoutError:
                raise FailedError(
                    f"event {number} did not arrive within {AT_ONCE_S} s, held back by a buffer"
                ) from None
            expect(expected in read, f"instead of event {number}: {read!r}")
            await bench.backends.release()
        async with asyncio.timeout(AT_ONCE_S):
            body = read + (await asked.rest()).body
    expect(asked.cut is None, f"cut: {asked.cut}")
    expect(body.endswith(DONE), f"no [DONE] at the end: {body[-80:]!r}")
    return f"{number + 1} events"
