"""A backend that hangs must not hang the client."""

from __future__ import annotations

import time

from tests.conformance.answers import HANG, SSE_HEAD, body_of_completion, broken_stream, head
from tests.conformance.bench import Bench, FailedError, SkippedError
from tests.conformance.checks.verdicts import expect_cut_is_told, expect_json_error
from tests.conformance.client import Reply
from tests.conformance.suite import check
from tests.conformance.wire_script import Script, Step

GROUP = "timeouts"
SLACK_S = 2
"""For timers that look once a second, and a busy machine."""
LONG_S = 200


async def _within(
    bench: Bench, promised_s: float | None, option: str, script: Script, *, streaming: bool
) -> tuple[Reply, str]:
    """The answer to a request the backend leaves hanging, and when it came."""
    if promised_s is None:
        raise SkippedError(f"no {option} given")
    await bench.play(script)
    began = time.monotonic()
    try:
        reply = await bench.fetch(stream=streaming, limit_s=promised_s + SLACK_S)
    except FailedError:
        raise FailedError(f"no end within {promised_s:g} s and {SLACK_S} s slack") from None
    return reply, f"after {time.monotonic() - began:.1f} s: "


async def _silent_before_the_head(bench: Bench, *, streaming: bool) -> str:
    promised_s = bench.options.first_byte_timeout_s
    option = "--first-byte-timeout"
    reply, when = await _within(bench, promised_s, option, HANG, streaming=streaming)
    return when + expect_json_error(reply)


@check(GROUP, "the backend is silent before its head, stream", LONG_S)
async def before_the_head(bench: Bench) -> str:
    return await _silent_before_the_head(bench, streaming=True)


@check(GROUP, "the backend is silent before its head, no stream", LONG_S)
async def before_the_head_no_stream(bench: Bench) -> str:
    return await _silent_before_the_head(bench, streaming=False)


async def _silent_in_a_stream(bench: Bench, script: Script) -> str:
    promised_s = bench.options.idle_timeout_s
    reply, when = await _within(bench, promised_s, "--idle-timeout", script, streaming=True)
    return when + expect_cut_is_told(reply)


@check(GROUP, "the backend is silent after its head, before the first event", LONG_S)
async def before_the_first_event(bench: Bench) -> str:
    return await _silent_in_a_stream(bench, Script((Step(SSE_HEAD),), "hang"))


@check(GROUP, "the backend is silent in a stream", LONG_S)
async def in_a_stream(bench: Bench) -> str:
    return await _silent_in_a_stream(bench, broken_stream("hang"))


@check(GROUP, "the backend is silent in a body that is no stream", LONG_S)
async def in_a_body(bench: Bench) -> str:
    body = body_of_completion()
    begin = head(content_type="application/json", content_length=str(len(body)))
    script = Script((Step(begin + body[:50]),), "hang")
    promised_s = bench.options.idle_timeout_s
    reply, when = await _within(bench, promised_s, "--idle-timeout", script, streaming=False)
    if reply.status >= 500:
        return when + expect_json_error(reply)
    if not reply.cut:
        raise FailedError(f"half a body in good order: {reply}")
    return f"{when}transport error: {reply.cut}"
