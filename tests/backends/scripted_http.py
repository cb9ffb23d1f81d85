"""Just enough of an HTTP/1.1 server for the scripted backend: it can break off anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Response:
    """One answer, sent whole or piece by piece."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        await self._head(status, {**headers, "content-length": str(len(body))}, body)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        await self._head(status, {**headers, "transfer-encoding": "chunked"})

    async def chunk(self, data: bytes) -> None:
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self._writer.drain()

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def abort(self) -> None:
        """A reset connection, as a killed process leaves it."""
        self._writer.transport.abort()

    async def _head(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{k}: {v}" for k, v in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self._writer.drain()


Handler = Callable[[Request, Response], Awaitable[None]]


async def serve(port: int, handler: Handler) -> None:
    """Serve on loopback until killed."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                if not await _until_answered_or_gone(handler, request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", port, limit=2**26, backlog=1024)
    async with server:
        await server.serve_forever()


async def _until_answered_or_gone(
    handler: Handler, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Answer, and stop at once when the client leaves; whether the connection may go on."""
    answering = asyncio.ensure_future(handler(request, Response(writer)))
    leaving = asyncio.ensure_future(_eof(reader))
    await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
    if not answering.done():
        answering.cancel()
    leaving.cancel()
    await asyncio.gather(answering, leaving, return_exceptions=True)
    return not answering.cancelled() and not writer.transport.is_closing()


async def _eof(reader: asyncio.StreamReader) -> None:
    # Nobody here pipelines, so whatever can be read before the answer is the end.
    while not reader.at_eof():
        if reader._buffer:  # type: ignore[attr-defined]
            await asyncio.sleep(3600)
        await asyncio.sleep(0.01)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
