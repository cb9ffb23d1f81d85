"""One connection to nginx: HTTP/1.1 as httptools reads it, one request after the other.

httpx, httpcore and h11 took two thirds of the CPU of a translated request (decision 039). What is
here can do no more than this needs: the other side is our own nginx, on a unix socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import httptools

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case."""

_MOST_WAITING = 256 * 1024
"""Bytes of an answer that wait for whoever reads it; then nginx has to wait, too."""

_REST_S = 1.0
_REST_BYTES = 1024
"""What may still come of an answer whose end was understood before it was here: of a stream, what
stands behind its `[DONE]`. Else the connection is closed."""


class Unanswered(Exception):
    """nginx broke off."""


class NobodyThere(Unanswered):
    """nothing listens there."""


class NotRead(Unanswered):
    """The connection was closed before the request was read: it may be sent again."""


class Answer:
    """status, headers: of the head. The body comes in parts."""

    def __init__(self, connection: Connection, status: int, headers: Headers) -> None:
        self._connection, self.status, self.headers = connection, status, headers

    def header(self, name: bytes) -> str:
        """The first of this name; "" for none."""
        found = (value for each, value in self.headers if each == name)
        return next(found, b"").decode("latin-1")

    async def part(self) -> bytes:
        """What is here of the body, once there is something; b"" at its end. Raises Unanswered."""
        return await self._connection.part()


class Connection(asyncio.Protocol):
    """Made by asyncio. A request is sent, its answer read, and `over` called."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._problem: Unanswered | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._given_back: Callable[[Connection], None] | None = None
        self._begin(head_only=False)
        self._complete = True
        self.used = 0
        """How many requests were sent."""
        self.idle_since = 0.0
        """By the loop's clock."""

    def _begin(self, *, head_only: bool) -> None:
        self._status, self._headers = 0, list[tuple[bytes, bytes]]()
        self._has_head = self._complete = self._paused = False
        self._heard = self._keeps = False
        self._head_only = head_only
        self._parts, self._size = list[bytes](), 0

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self._problem is None

    async def ask(self, method: str, target: str, headers: Headers, body: bytes) -> Answer:
        """The head of the answer. Raises Unanswered; ValueError where a line would end within what
        stands in it."""
        sent = _head(method, target, headers) + body
        assert self._transport is not None  # noqa: S101 - asyncio gave it before we were here
        self._begin(head_only=method == "HEAD")
        self.used += 1
        self._transport.write(sent)
        while not self._has_head:
            if self._problem is not None:
                raise self._problem
            await self._wait()
        return Answer(self, self._status, self._headers)

    async def part(self) -> bytes:
        """See Answer."""
        while not self._parts:
            if self._complete:
                return b""
            if self._problem is not None:
                raise self._problem
            await self._wait()
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts, self._size = [], 0
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data

    def over(self, given_back: Callable[[Connection], None]) -> None:
        """Its answer was read. given_back: called if and when it can take another request."""
        if self._complete and self._keeps and self.usable:
            given_back(self)
        elif self._has_head and not self._complete and self.usable:
            self._given_back, self._parts, self._size = given_back, [], 0
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(_REST_S, self.close)
            if self._paused:
                self.close()
        else:
            self.close()

    def close(self) -> None:
        """At once: nginx sees that nobody waits any more, and so does the backend."""
        self._given_back = None
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as problem:
            self._problem = self._problem or Unanswered(f"no HTTP: {problem}"[:200])
        if self._problem is not None:
            self.close()
        elif self._given_back is not None:
            self._rest()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._closing is not None:
            self._closing.cancel()
        # A reset says that there was something which it had not read (unix(7)).
        unread = isinstance(exc, ConnectionError) and not self._heard
        self._problem = self._problem or (NotRead if unread else Unanswered)("nginx broke off")
        self._wake()

    # httptools'

    def on_message_begin(self) -> None:
        if self._complete:
            self._problem = Unanswered("an answer to nothing")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status < 200:
            self._headers = []
            return
        self._has_head = True
        self._keeps = self._parser.should_keep_alive() and not self._head_only
        self._complete = self._head_only

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MOST_WAITING and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        self._complete = self._complete or self._has_head

    def _rest(self) -> None:
        """Of an answer that nobody reads any more."""
        given_back, self._parts = self._given_back, []
        if self._complete and self._keeps and given_back is not None:
            if self._closing is not None:
                self._closing.cancel()
            self._given_back = self._closing = None
            given_back(self)
        elif self._complete or self._size > _REST_BYTES:
            self.close()


def _head(method: str, target: str, headers: Headers) -> bytes:
    """Raises ValueError."""
    lines = [f"{method} {target} HTTP/1.1".encode("latin-1"), b"host: infergate"]
    lines += [name + b": " + value for name, value in headers]
    head = b"\r\n".join(lines)
    if (
        head.count(b"\n") != len(lines) - 1
        or head.count(b"\r") != len(lines) - 1
        or b" " in (target.encode("latin-1"))
    ):
        raise ValueError("a line of the request's head would end within it")
    return head + b"\r\n\r\n"
