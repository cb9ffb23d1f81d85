"""ASGI's side: a request's body, an answer, and whether the client is still there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from starlette.types import Message, Receive, Send

Headers = Iterable[tuple[bytes, bytes]]


class Left(Exception):
    """The client did, before its request was here."""


class BodyTooLarge(Exception):
    """A request's body is larger than it may be."""


class Noting:
    """ASGI's send, which knows whether something was sent: an error has no place then."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


async def body_of(receive: Receive, most_bytes: int) -> bytes:
    """Raises Left or BodyTooLarge."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Left
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > most_bytes:
            raise BodyTooLarge
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def while_there(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, and give it up when the client leaves: what it had open is closed then."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_left(receive))
    leaving.add_done_callback(lambda _: working.cancel())
    try:
        await working
    except asyncio.CancelledError:
        if not leaving.done():  # it is we who are to end
            raise
    finally:
        leaving.cancel()


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def start(send: Send, status: int, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def part(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def end(send: Send, data: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": data, "more_body": False})


async def answer_json(
    send: Send, status: int, document: Mapping[str, Any], headers: Headers = ()
) -> None:
    """A whole answer. headers: besides its type and length."""
    body = json.dumps(document).encode()
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    named = {name for name, _ in own}
    await start(send, status, [*own, *(each for each in headers if each[0] not in named)])
    await end(send, body)
