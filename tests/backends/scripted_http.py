"""Just enough of an HTTP/1.1 server for the scripted backend: it can break off anywhere."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One request. headers: names in lower case; a header sent twice is joined by commas."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Response:
    """One answer, sent whole or piece by piece."""

    def __init__(self, writer: asyncio.StreamWriter, *, only_head: bool = False) -> None:
        self._writer = writer
        self._only_head = only_head
        self._chunked = False

    async def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        await self._head(status, {**headers, "content-length": str(len(body))}, body)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """The head alone; chunked unless `headers` has a content-length."""
        self._chunked = "content-length" not in headers
        more = {"transfer-encoding": "chunked"} if self._chunked else {}
        await self._head(status, {**headers, **more})

    async def piece(self, data: bytes) -> None:
        if self._only_head:
            return
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)
        await self._writer.drain()

    async def end(self) -> None:
        if self._chunked and not self._only_head:
            self._writer.write(b"0\r\n\r\n")
            await self._writer.drain()

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
        self._writer.close()

    def abort(self) -> None:
        """A reset connection, as a killed process leaves it. Nothing can be sent after it."""
        self._writer.transport.abort()

    async def _head(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{k}: {v}" for k, v in headers.items())]
        head = "\r\n".join([*lines, "", ""]).encode()
        self._writer.write(head if self._only_head else head + body)
        await self._writer.drain()


Handler = Callable[[Request, Response], Awaitable[None]]


class _Reader(asyncio.StreamReader):
    """A reader that says when the client has left, also while nobody reads."""

    def __init__(self) -> None:
        super().__init__(limit=2**26)
        self.left = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.left.set()

    def set_exception(self, exception: BaseException) -> None:
        super().set_exception(exception)  # type: ignore[arg-type]
        self.left.set()


_idle: set[asyncio.StreamWriter] = set()
"""Connections on which no request came yet, or the last one was answered."""


async def reset_idle() -> None:
    """Reset every connection that waits for a request; it has happened when this returns."""
    for writer in list(_idle):
        it = writer.get_extra_info("socket")
        it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    await asyncio.sleep(0)  # an aborted connection is closed in the loop's next turn


async def read_what_came() -> None:
    """Take every request that is here by now, also from connections that nobody accepted yet."""
    for _ in range(10):  # to accept, to read the head and the body, and to begin is a turn each
        await asyncio.sleep(0)


async def serve(
    port: int,
    handler: Handler,
    host: str = "127.0.0.1",
    tls: tuple[int, ssl.SSLContext] | None = None,
) -> None:
    """Serve until killed; on loopback, or at an address of a namespace of the tests' own.

    tls: a second port, where it speaks https.
    """

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(reader, _Reader)
        try:
            while True:
                _idle.add(writer)
                request = await _read(reader, writer)
                _idle.discard(writer)
                if not await _until_answered_or_left(handler, request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            _idle.discard(writer)
            writer.close()

    async def listen(at: int, context: ssl.SSLContext | None) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: asyncio.StreamReaderProtocol(_Reader(), connection),
            host,
            at,
            backlog=1024,
            ssl=context,
        )
        async with server:
            await server.serve_forever()

    await asyncio.gather(*(listen(*each) for each in ((port, None), tls) if each))


async def _until_answered_or_left(
    handler: Handler, request: Request, reader: _Reader, writer: asyncio.StreamWriter
) -> bool:
    """Answer, and stop at once when the client leaves; whether the connection may go on."""
    response = Response(writer, only_head=request.method == "HEAD")
    answering = asyncio.ensure_future(handler(request, response))
    leaving = asyncio.ensure_future(reader.left.wait())
    await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
    if not answering.done():
        answering.cancel()
    leaving.cancel()
    ended, _ = await asyncio.gather(answering, leaving, return_exceptions=True)
    if isinstance(ended, BaseException):
        if not isinstance(ended, ConnectionError | asyncio.CancelledError):
            raise ended
        return False
    return not writer.transport.is_closing() and request.headers.get("connection") != "close"


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
