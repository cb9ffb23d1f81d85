"""Scripts for the usual answers of an inference server, and the pieces they are made of."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.conformance.wire_script import End, Script, Step

SSE = "text/event-stream; charset=utf-8"  # as vLLM and FastAPI send it
DONE = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"
PING = b": ping\n\n"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
TEXTS = ("one ", "two ", "three ", "four ", "five ")


def chunk(data: bytes) -> bytes:
    """`data` in HTTP/1.1's chunked framing."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def head(status: int = 200, /, **headers: str) -> bytes:
    """A response head; underscores in header names become hyphens."""
    lines = [f"HTTP/1.1 {status} Wire"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


SSE_HEAD = head(content_type=SSE, transfer_encoding="chunked")


def _choice_chunk(delta: dict[str, str], finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return event({"choices": [choice]})


def event(more: dict[str, object]) -> bytes:
    """One chat.completion.chunk as an event."""
    base = {"id": "chatcmpl-wire", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return b"data: " + json.dumps({**base, **more}).encode() + b"\n\n"


def text_event(text: str) -> bytes:
    return _choice_chunk({"content": text}, None)


FIRST_EVENT = _choice_chunk({"role": "assistant", "content": ""}, None)
STOP_EVENT = _choice_chunk({}, "stop")
USAGE_EVENT = event({"choices": [], "usage": USAGE})


def stream(
    texts: Sequence[str] = TEXTS,
    *,
    pause_s: float = 0,
    gates: bool = False,
    with_usage: bool = True,
) -> Script:
    """A whole good stream. gates: every event after the first waits for a release."""
    events = [FIRST_EVENT, *map(text_event, texts), STOP_EVENT]
    steps = [Step(SSE_HEAD)]
    for number, each in enumerate(events):
        steps.append(Step(chunk(each), pause_s, gate=gates and number > 0))
    if with_usage:
        steps.append(Step(chunk(USAGE_EVENT), with_usage=True))
    return Script((*steps, Step(chunk(DONE)), Step(LAST_CHUNK)))


def broken_stream(end: End, *, last: bytes = b"", texts: Sequence[str] = TEXTS[:2]) -> Script:
    """A stream that begins well and then ends as `end` says, `last` before that.

    A little silence before the end, so that the gateway has sent on what came.
    """
    events = [FIRST_EVENT, *map(text_event, texts)]
    steps = [Step(SSE_HEAD), *(Step(chunk(each), 0.05) for each in events)]
    return Script((*steps, Step(last, 0.1)), end)


def body_of_completion(text: str = "".join(TEXTS)) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    base = {"id": "chatcmpl-wire", "object": "chat.completion", "created": 0, "model": "m"}
    return json.dumps({**base, "choices": [choice], "usage": USAGE}).encode()


def whole(body: bytes | None = None, status: int = 200, **headers: str) -> Script:
    """An answer that is no stream, with a Content-Length."""
    body = body_of_completion() if body is None else body
    fields = {"content_type": "application/json", **headers, "content_length": str(len(body))}
    return Script((Step(head(status, **fields) + body),))


def error_body(status: int) -> bytes:
    """An error in OpenAI's shape, with spacing and a field no gateway would write itself."""
    error = {
        "message": f"wire says {status}: größer",
        "type": "wire_error",
        "param": "messages",
        "code": f"wire_{status}",
        "wire": [1, 2.50, None],
    }
    return json.dumps({"error": error}, indent=1, ensure_ascii=False).encode()


def error(status: int, **headers: str) -> Script:
    return whole(error_body(status), status, **headers)


HANG = Script((), "hang")
"""Takes the request, says nothing."""

RESET = Script((), "reset")
"""Takes the request, resets the connection."""
