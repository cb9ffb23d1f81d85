"""What several subjects ask of an answer."""

from __future__ import annotations

from tests.conformance.bench import FailedError, expect
from tests.conformance.client import Reply
from tests.conformance.sse import parse


def is_error(error: object) -> bool:
    """Whether it is an error as OpenAI writes it, enough for a client to show."""
    return isinstance(error, dict) and isinstance(error.get("message"), str) and error["message"]


def expect_json_error(reply: Reply, least: int = 500) -> str:
    """A whole answer with a status of `least` or more and an error object; a remark on it."""
    if reply.cut:
        raise FailedError(f"no answer but a transport error: {reply.cut}")
    expect(reply.status >= least, f"an error with status {least} or more was due, not {reply}")
    kind = reply.headers.get("content-type", "")
    expect("application/json" in kind, f"{reply.status} with content-type {kind!r}, not JSON")
    found = reply.json
    error = found.get("error") if isinstance(found, dict) else None
    expect(is_error(error), f"no error.message in {reply}")
    return f"{reply.status} {error['message'][:60]!r}"  # type: ignore[index]


def expect_cut_is_told(reply: Reply) -> str:
    """A stream the backend broke off before any finish_reason: the client can tell; how.

    Clients take a stream that ends in good order for a whole answer: neither OpenAI's libraries
    nor LangChain miss the [DONE].
    """
    if reply.status >= 500:
        return expect_json_error(reply)
    events = parse(reply.body)
    expect(not events.finish_reasons, f"a finish_reason nobody sent: {events.finish_reasons}")
    errors = events.errors
    if errors:
        expect(all(map(is_error, errors)), f"an error event without a message: {errors}")
        return f"error event {errors[0]['message'][:60]!r}"
    expect(not events.done, "a [DONE] nobody sent, and no error event")
    expect(reply.cut, "the stream ends in good order, with no error event")
    return f"transport error: {reply.cut}"
