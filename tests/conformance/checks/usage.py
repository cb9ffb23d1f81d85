"""Who asked for usage gets it once; who did not is not surprised by a chunk without choices.

A gateway that counts tokens has to ask the backend itself, and to take the answer out again: code
that reads `chunk.choices[0]` of every chunk is everywhere.
"""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.answers import TEXTS, USAGE
from tests.conformance.bench import Bench, expect
from tests.conformance.sse import Events, parse
from tests.conformance.suite import check

GROUP = "usage"


async def _stream(bench: Bench, **more: Any) -> tuple[Events, str]:
    """What the client saw, and whether the backend was asked for usage."""
    reply = await bench.fetch(stream=True, **more)
    expect(reply.status == 200 and not reply.cut, str(reply))
    events = parse(reply.body)
    expect(events.text == "".join(TEXTS), f"the text is {events.text!r}")
    expect(events.finish_reasons == ["stop"], f"finish_reason: {events.finish_reasons}")
    expect(events.done, "no [DONE]")
    sent = json.loads((await bench.backends.attempts())[0]["body"])
    asked = (sent.get("stream_options") or {}).get("include_usage")
    return events, f"the backend was {'' if asked else 'not '}asked for it"


async def _none(bench: Bench, **more: Any) -> str:
    events, remark = await _stream(bench, **more)
    expect(events.usage_only == 0, f"{events.usage_only} chunks with usage and no choice")
    expect(
        all(each.get("choices") for each in events.chunks), "a chunk with no choice, with no usage"
    )
    return remark


@check(GROUP, "a stream without stream_options has no usage chunk")
async def not_asked(bench: Bench) -> str:
    return await _none(bench)


@check(GROUP, "a stream with include_usage false has no usage chunk")
async def declined(bench: Bench) -> str:
    return await _none(bench, stream_options={"include_usage": False})


@check(GROUP, "a stream with include_usage has exactly one usage chunk, the backend's")
async def asked(bench: Bench) -> None:
    events, _ = await _stream(bench, stream_options={"include_usage": True})
    expect(events.usage_only == 1, f"{events.usage_only} usage chunks")
    usage = next(each["usage"] for each in events.chunks if not each.get("choices"))
    expect(usage == USAGE, f"the usage is {usage}")


@check(GROUP, "an answer that is no stream keeps its usage")
async def no_stream(bench: Bench) -> None:
    reply = await bench.fetch(stream=False)
    found = reply.json
    expect(isinstance(found, dict) and found.get("usage") == USAGE, f"usage missing: {reply}")
