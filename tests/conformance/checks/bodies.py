"""Large bodies, both ways."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re

from tests.conformance.answers import DONE, LAST_CHUNK, SSE_HEAD, STOP_EVENT, chunk, text_event
from tests.conformance.bench import Bench, expect
from tests.conformance.sse import parse
from tests.conformance.suite import check
from tests.conformance.wire_script import NUMBER, Script, Step

GROUP = "bodies"
REQUEST_BYTES = 10 * 2**20
EVENT_BYTES = 10 * 2**10
EVENTS = 2048
READ_PAUSE_S = 0.02
"""With reads of 64 KB, 20 MB take about 7 s; a backend writes them in a tenth of that."""


async def _arrives(bench: Bench, *, chunked: bool) -> str:
    content = random.Random(7).randbytes(REQUEST_BYTES // 2).hex()
    message = {"role": "user", "content": content}
    body = json.dumps({"model": bench.options.model, "messages": [message]}).encode()
    if chunked:
        pieces = [chunk(body[n : n + 2**16]) for n in range(0, len(body), 2**16)]
        sent = b"".join([*pieces, LAST_CHUNK])
        reply = await bench.fetch(body=sent, headers={"transfer-encoding": "chunked"})
    else:
        reply = await bench.fetch(body=body)
    expect(reply.status == 200 and not reply.cut, str(reply))
    record = (await bench.backends.attempts())[0]
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    expect(record["content_sha256"] == sha256, f"another text came, {record['bytes']} bytes")
    same = record["sha256"] == hashlib.sha256(body).hexdigest()
    return "byte for byte" if same else "same text, JSON written anew"


@check(GROUP, "a request of 10 MB arrives whole")
async def large_request(bench: Bench) -> str:
    return await _arrives(bench, chunked=False)


@check(GROUP, "a request of 10 MB in chunks arrives whole")
async def large_chunked_request(bench: Bench) -> str:
    return await _arrives(bench, chunked=True)


@check(GROUP, "a slow reader of 20 MB loses nothing, in order")
async def slow_reader(bench: Bench) -> str:
    filler = "x" * (EVENT_BYTES - len(text_event(NUMBER.decode())))
    each = text_event(NUMBER.decode() + filler)
    steps = (Step(SSE_HEAD), Step(chunk(each), repeat=EVENTS), Step(chunk(STOP_EVENT + DONE)))
    await bench.play(Script((*steps, Step(LAST_CHUNK))))
    pieces = []
    async with bench.ask(stream=True, receive_buffer_bytes=2**16) as asked:
        expect(await asked.head() == 200, f"status {asked.status}")
        await asyncio.sleep(1)
        while not asked.ended:
            pieces.append(await asked.read())
            await asyncio.sleep(READ_PAUSE_S * len(pieces[-1]) / 2**16)
    expect(asked.cut is None, f"cut after {sum(map(len, pieces))} bytes: {asked.cut}")
    body = b"".join(pieces)
    events = parse(body)
    numbers = [int(n) for n in re.findall(r"(\d{8})x", events.text)]
    expect(len(numbers) == EVENTS, f"{len(numbers)} of {EVENTS} events came")
    expect(numbers == list(range(EVENTS)), "the events came in another order")
    expected = "".join(f"{n:08d}{filler}" for n in range(EVENTS))
    expect(events.text == expected, "the events' text was changed")
    expect(events.finish_reasons == ["stop"] and events.done, "the end is missing")
    return f"{len(body) / 2**20:.0f} MB"
