"""The backend's errors reach the client as they are; the gateway's own are as well formed."""

from __future__ import annotations

from tests.conformance.answers import (
    DONE,
    FIRST_EVENT,
    LAST_CHUNK,
    SSE_HEAD,
    chunk,
    error,
    error_body,
    head,
    text_event,
    whole,
)
from tests.conformance.bench import Bench, expect
from tests.conformance.checks.verdicts import expect_json_error
from tests.conformance.sse import parse
from tests.conformance.suite import check
from tests.conformance.wire_script import Script, Step

GROUP = "errors"


async def _unchanged(bench: Bench, status: int) -> None:
    for streaming in (False, True):
        await bench.play(error(status))
        reply = await bench.fetch(stream=streaming)
        kind = "stream" if streaming else "no stream"
        expect(reply.status == status, f"{kind}: {status} became {reply}")
        expect(reply.body == error_body(status), f"{kind}: the body was changed: {reply}")


@check(GROUP, "400 passes with status and body unchanged")
async def bad_request(bench: Bench) -> None:
    await _unchanged(bench, 400)


@check(GROUP, "401 passes with status and body unchanged")
async def unauthorized(bench: Bench) -> None:
    await _unchanged(bench, 401)


@check(GROUP, "404 passes with status and body unchanged")
async def not_found(bench: Bench) -> None:
    await _unchanged(bench, 404)


@check(GROUP, "422 passes with status and body unchanged")
async def unprocessable(bench: Bench) -> None:
    await _unchanged(bench, 422)


@check(GROUP, "429 of every backend stays 429, with its Retry-After")
async def too_many(bench: Bench) -> None:
    await bench.play(error(429, retry_after="7"))
    reply = await bench.fetch()
    expect(reply.status == 429, f"429 became {reply}")
    after = reply.headers.get("retry-after")
    expect(after == "7", f"retry-after 7 became {after}")


@check(GROUP, "500 of every backend is an error of 500 or more")
async def internal(bench: Bench) -> str:
    await bench.play(error(500))
    for streaming in (True, False):
        remark = expect_json_error(await bench.fetch(stream=streaming))
    return remark


@check(GROUP, "an error event in a 200 stream passes unchanged")
async def in_a_stream(bench: Bench) -> None:
    told = b'data: {"error": {"message": "CUDA out of memory", "type": "oom", "code": 507}}\n\n'
    events = (FIRST_EVENT, text_event("one "), told, DONE)
    steps = (Step(SSE_HEAD), *(Step(chunk(each), 0.02) for each in events), Step(LAST_CHUNK))
    await bench.play(Script(steps))
    reply = await bench.fetch(stream=True)
    expect(reply.status == 200, str(reply))
    expect(told in reply.body, f"the error event was changed: {reply.body[-250:]!r}")


@check(GROUP, "an error event as the first event of a 200 stream reaches the client")
async def first_in_a_stream(bench: Bench) -> str:
    told = (
        b'data: {"error": {"message": "the engine is dead", "type": "internal", "code": 500}}\n\n'
    )
    await bench.play(Script((Step(SSE_HEAD), Step(chunk(told)), Step(LAST_CHUNK))))
    reply = await bench.fetch(stream=True)
    if reply.status >= 500:
        return expect_json_error(reply)
    messages = [each.get("message") for each in parse(reply.body).errors]
    expect(messages == ["the engine is dead"], f"the error was lost: {reply}")
    return "as an event"


async def _is_error(bench: Bench, script: Script) -> str:
    await bench.play(script)
    return expect_json_error(await bench.fetch())


@check(GROUP, "garbage instead of HTTP is a JSON error")
async def garbage(bench: Bench) -> str:
    return await _is_error(
        bench, Script((Step(b"\x16\x03\x01 no HTTP here\r\n\r\n", 0.1),), "close")
    )


@check(GROUP, "a status line without a status is a JSON error")
async def no_status(bench: Bench) -> str:
    return await _is_error(bench, Script((Step(b"HTTP/1.1 OK\r\n\r\n", 0.1),), "close"))


@check(GROUP, "a connection closed without a byte is a JSON error")
async def nothing(bench: Bench) -> str:
    return await _is_error(bench, Script((), "close"))


@check(GROUP, "a head that breaks off is a JSON error")
async def half_a_head(bench: Bench) -> str:
    return await _is_error(bench, Script((Step(b"HTTP/1.1 200 OK\r\ncontent-ty", 0.1),), "close"))


@check(GROUP, "a head of 1 MB is a JSON error")
async def endless_head(bench: Bench) -> str:
    large = head(content_type="application/json", x_large="x" * 2**20, content_length="2")
    return await _is_error(bench, Script((Step(large + b"{}", 0.1),), "close"))


@check(GROUP, "an HTML error page of the backend keeps its status")
async def html(bench: Bench) -> None:
    page = b"<html><body>413 Request Entity Too Large</body></html>"
    await bench.play(whole(page, 413, content_type="text/html"))
    reply = await bench.fetch()
    expect(reply.status == 413, f"413 became {reply}")
