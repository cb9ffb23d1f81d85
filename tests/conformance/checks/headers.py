"""Heads: what a client needs to read a stream, and to name its request to somebody."""

from __future__ import annotations

from tests.conformance.answers import SSE
from tests.conformance.bench import Bench, SkippedError, expect
from tests.conformance.suite import check

GROUP = "headers"


@check(GROUP, "content-type of a stream is kept")
async def stream_type(bench: Bench) -> str:
    reply = await bench.fetch(stream=True)
    kind = reply.headers.get("content-type", "")
    expect(kind.replace(" ", "").lower() == SSE.replace(" ", ""), f"{SSE!r} became {kind!r}")
    return kind


@check(GROUP, "a stream is not compressed, whatever the client accepts")
async def not_compressed(bench: Bench) -> None:
    accepts = {"accept-encoding": "gzip, deflate, br, zstd"}
    reply = await bench.fetch(stream=True, headers=accepts)
    coding = reply.headers.get("content-encoding")
    expect(coding in (None, "identity"), f"content-encoding: {coding}")
    expect(reply.body.startswith(b"data: "), f"no event: {reply}")


@check(GROUP, "x-request-id is echoed, or the gateway gives one of its own")
async def request_id(bench: Bench) -> str:
    reply = await bench.fetch(headers={"x-request-id": "wire-7f3a"})
    ids = {name: value for name, value in reply.headers.items() if name.endswith("request-id")}
    expect(any(ids.values()), f"no request id among {sorted(reply.headers)}")
    name, value = next(iter(ids.items()))
    return "echoed" if value == "wire-7f3a" else f"{name}: {value}"


@check(GROUP, "the gateway's request id differs from request to request")
async def request_ids_differ(bench: Bench) -> None:
    seen = set()
    for _ in range(3):
        reply = await bench.fetch()
        ids = [value for name, value in reply.headers.items() if name.endswith("request-id")]
        expect(ids, "no request id where the client gives none")
        seen.add(ids[0])
    expect(len(seen) == 3, f"three requests, ids {sorted(seen)}")


@check(GROUP, "the client's key does not reach the backend")
async def key_stays(bench: Bench) -> None:
    if not bench.options.key:
        raise SkippedError("no --key given")
    await bench.fetch()
    fields = (await bench.backends.attempts())[0]["headers"]
    leaking = [name for name, value in fields.items() if bench.options.key in value]
    expect(not leaking, f"in the backend's header {leaking}")
