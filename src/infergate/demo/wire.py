"""How the demo reads requests and writes answers: JSON in, JSON or SSE out, OpenAI's errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse

from infergate.demo.answers import MODEL

MAX_BODY_BYTES = 32 * 1024**2
"""The gateway's own default for limits.max_body."""


class WireRefused(Exception):
    """A request that is answered with an error, in the shape of OpenAI's API."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code


def error(
    status: int, message: str, param: str | None = None, code: str | None = None
) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status)


async def read(request: Request) -> dict[str, Any]:
    """The JSON object of a request for the model `demo`. Raises Refused."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise WireRefused(413, "The request is larger than the demo takes.")
    try:
        asked = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise WireRefused(400, "The body of the request is not JSON.") from None
    if not isinstance(asked, dict):
        raise WireRefused(400, "The body of the request is not a JSON object.")
    if not _is_text(asked):
        raise WireRefused(400, "The body of the request has half a surrogate pair in a text.")
    model = asked.get("model")
    if not isinstance(model, str):
        raise WireRefused(400, "You must provide a model parameter.", param="model")
    if model != MODEL:
        raise WireRefused(
            404,
            f"The model '{model[:100]}' does not exist; the built-in demo has only '{MODEL}'.",
            param="model",
            code="model_not_found",
        )
    return asked


def _is_text(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def limit(asked: dict[str, Any], *names: str) -> int | None:
    """The request's token limit, under the first of the names that it uses. Raises Refused."""
    for name in names:
        value = asked.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise WireRefused(400, f"{name} must be a whole number above 0.", param=name)
        return value
    return None


def flag(asked: dict[str, Any], name: str) -> bool:
    """A field that is true or false, false when missing. Raises Refused."""
    value = asked.get(name)
    if value is not None and not isinstance(value, bool):
        raise WireRefused(400, f"{name} must be true or false.", param=name)
    return bool(value)


def event_stream(events: AsyncIterator[str]) -> StreamingResponse:
    """An SSE answer that no proxy on the way should buffer."""
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def data_event(value: Any, name: str | None = None) -> str:
    """One event of an SSE answer; name is its `event:` line, which the Responses API has."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"
