"""A request in a dialect that no backend of its model speaks: to them, and their answer back."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.types import Scope, Send

from infergate.api import answering
from infergate.api.caller import Caller, passed_back, passed_on
from infergate.api.connection import Answer, Unanswered
from infergate.api.depth import DEEPEST, is_too_deep
from infergate.api.dialects import chat, table
from infergate.api.dialects.translation import Translation
from infergate.api.inner import Inner, TooLarge, whole
from infergate.api.reading import decoder, read
from infergate.api.refusal import Refused
from infergate.api.sse import EventTooLong, Reader

LARGEST_ANSWER = 256 * 1024**2
"""Bytes of an answer that is held whole to be translated: an embedding of many texts."""

_DONE = b"[DONE]"
_OF_THE_BODY = frozenset((b"content-type", b"content-length", b"content-encoding"))
_BROKEN = chat.BROKEN


async def translated(inner: Inner, caller: Caller, scope: Scope, body: bytes, send: Send) -> None:
    """Answer a request. Everything that goes wrong is said in the client's dialect."""
    path, method = scope["path"], scope["method"]
    try:
        headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in scope["headers"]}
        wanted = table.translation(method, path, headers, object_in(body))
        if wanted is None:
            raise Refused(f"`{method} {path}` is not translated here.", status=404)
    except Refused as refused:
        await _error(send, path, refused.status, refused.error)
    else:
        await asked(inner, caller, wanted, path, passed_on(scope["headers"]), send)


async def asked(
    inner: Inner,
    caller: Caller,
    wanted: Translation,
    path: str,
    on: Sequence[tuple[bytes, bytes]],
    send: Send,
) -> None:
    """Ask for a translation, and answer. path: that was asked for. on: headers for the backend."""
    try:
        sent = _json(wanted.body)
        async with inner.ask(caller, wanted.method, wanted.target, sent, on) as answer:
            await _answered(wanted, path, answer, send)
    except Refused as refused:
        await _error(send, path, refused.status, refused.error)
    except TooLarge:
        await _error(send, path, 502, {**_BROKEN, "message": "The backend's answer is too large."})
    except RecursionError:
        await _error(send, path, 502, {**_BROKEN, "message": "The backend's answer is too deep."})
    except Unanswered:
        await _error(send, path, 502, _BROKEN)


async def _answered(wanted: Translation, path: str, answer: Answer, send: Send) -> None:
    back = [each for each in passed_back(answer.headers) if each[0] not in _OF_THE_BODY]
    if answer.status != 200:
        error = _error_of(await whole(answer, LARGEST_ANSWER))
        await _error(send, path, answer.status, error, back)
    elif wanted.streamed and answer.header(b"content-type").startswith("text/event-stream"):
        kind = (b"content-type", wanted.media_type.encode())
        await answering.start(send, 200, [kind, *back])
        async for part in _translated_events(wanted, answer):
            await answering.part(send, part)
        await answering.end(send)
    else:
        document = wanted.answer(_answer(await whole(answer, LARGEST_ANSWER)))
        await answering.answer_json(send, 200, document, back)


async def _translated_events(wanted: Translation, answer: Answer) -> AsyncIterator[bytes]:
    """What goes to the client, piece by piece; with an error at its end where there was one."""
    reader, events = Reader(), wanted.events()
    try:
        while piece := await answer.part():
            out = b""
            for data in reader.feed(piece):
                if data == _DONE:
                    yield out + events.end()
                    return
                chunk = _chunk(data)
                if (told := chat.error_of(chunk)) is not None:
                    yield out + events.broken(502, chat.as_error(told))
                    return
                out += events.feed(chunk)
            if out:
                yield out
        for data in reader.end():
            if data != _DONE and (out := events.feed(_chunk(data))):
                yield out
        yield events.end()
    except (Unanswered, EventTooLong, ValueError, RecursionError):
        yield events.broken(502, _BROKEN)
    except Refused as refused:
        yield events.broken(refused.status, refused.error)


def object_in(body: bytes) -> dict[str, Any]:
    """Raises Refused."""
    found: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        found = read(body, _decode_finite)
    if not isinstance(found, dict):
        raise Refused("The request body must be a JSON object.")
    if is_too_deep(body, found):
        raise Refused(f"The request body is nested deeper than {DEEPEST} levels.")
    return found


def _finite(number: str) -> float:
    """Raises Refused: written again it would be no JSON, and told of at a place that the client's
    body does not have."""
    found = float(number)
    if math.isinf(found):
        raise Refused(f"The number {number[:40]} in the request body is too large.")
    return found


_decode_finite = decoder(_finite)


def _json(body: Mapping[str, Any]) -> bytes:
    """Raises Refused: what could just be read may be too deep to be written, a level deeper."""
    try:
        return json.dumps(body).encode()
    except RecursionError:
        raise Refused("The request body is nested too deeply.") from None


def _chunk(data: bytes) -> dict[str, Any]:
    """Raises ValueError."""
    try:
        found = read(data)
    except RecursionError:
        raise ValueError from None
    if not isinstance(found, dict):
        raise ValueError
    return found


def _answer(body: bytes) -> dict[str, Any]:
    """An array under `results`, as Translation.answer takes it."""
    try:
        found = read(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list):
        return {"results": found}
    if not isinstance(found, dict):
        raise Refused("The backend's answer is no JSON object.", status=502)
    return found


def _error_of(body: bytes) -> Mapping[str, Any]:
    """Of an answer of the gateway or a backend, in OpenAI's shape; FastAPI's `detail` too."""
    try:
        told = _chunk(body)
    except ValueError:
        return {"message": body[:500].decode("utf-8", "replace") or _BROKEN["message"]}
    return chat.as_error(chat.error_of(told) or told.get("detail") or told)


async def _error(
    send: Send,
    path: str,
    status: int,
    error: Mapping[str, Any],
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    status, document = table.error(path, status, error)
    await answering.answer_json(send, status, document, headers)
