"""An answer that breaks off must not look like a whole one."""

from __future__ import annotations

from tests.conformance.answers import (
    FIRST_EVENT,
    LAST_CHUNK,
    body_of_completion,
    broken_stream,
    chunk,
    head,
    text_event,
)
from tests.conformance.bench import Bench, expect
from tests.conformance.checks.verdicts import expect_cut_is_told, expect_json_error
from tests.conformance.sse import parse
from tests.conformance.suite import check
from tests.conformance.wire_script import End, Script, Step

GROUP = "truncation"


async def _told(bench: Bench, script: Script) -> str:
    await bench.play(script)
    return expect_cut_is_told(await bench.fetch(stream=True))


@check(GROUP, "the backend resets the connection in a stream")
async def reset(bench: Bench) -> str:
    return await _told(bench, broken_stream("reset"))


@check(GROUP, "the backend closes the connection in a stream")
async def close(bench: Bench) -> str:
    return await _told(bench, broken_stream("close"))


@check(GROUP, "the backend closes the connection within an event")
async def close_within_an_event(bench: Bench) -> str:
    return await _told(bench, broken_stream("close", last=chunk(text_event("three ")[:60])))


@check(GROUP, "the backend's stream ends in good order, without finish_reason and [DONE]")
async def no_done(bench: Bench) -> str:
    return await _told(bench, broken_stream("keep", last=LAST_CHUNK))


@check(GROUP, "a stream without chunked framing is closed, without finish_reason and [DONE]")
async def close_delimited(bench: Bench) -> str:
    plain = head(content_type="text/event-stream", connection="close")
    steps = (Step(plain + FIRST_EVENT, 0.1), Step(text_event("one "), 0.1))
    return await _told(bench, Script(steps, "close"))


@check(GROUP, "events that came before the break arrive")
async def nothing_lost_before(bench: Bench) -> None:
    await bench.play(broken_stream("close"))
    reply = await bench.fetch(stream=True)
    text = parse(reply.body).text
    expect(text == "one two ", f"of 'one two ' came {text!r}: {reply}")


async def _whole_is_cut(bench: Bench, begin: bytes, end: End) -> str:
    """An answer that is no stream, of which only the half comes."""
    await bench.play(Script((Step(begin, 0.1),), end))
    reply = await bench.fetch(stream=False)
    if reply.status >= 500:
        return expect_json_error(reply)
    expect(reply.cut, f"half a body in good order: {reply}")
    return f"transport error: {reply.cut}"


def _half(**framing: str) -> tuple[bytes, bytes]:
    body = body_of_completion("text " * 100)
    return head(content_type="application/json", **framing), body[: len(body) // 2]


@check(GROUP, "a body is shorter than its Content-Length")
async def short_body(bench: Bench) -> str:
    begin, half = _half(content_length=str(len(body_of_completion("text " * 100))))
    return await _whole_is_cut(bench, begin + half, "close")


@check(GROUP, "a body with a Content-Length is reset in its middle")
async def reset_body(bench: Bench) -> str:
    begin, half = _half(content_length=str(len(body_of_completion("text " * 100))))
    return await _whole_is_cut(bench, begin + half, "reset")


@check(GROUP, "a chunked body ends without its last chunk")
async def short_chunked_body(bench: Bench) -> str:
    begin, half = _half(transfer_encoding="chunked")
    return await _whole_is_cut(bench, begin + chunk(half), "close")
