"""An HTTP/1.1 client that tells everything: which bytes, when, and how the answer ended.

Ordinary clients hide what this suite is about: whether an answer was cut, what one read returned.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_READ_BYTES = 2**16


@dataclass(frozen=True)
class Target:
    """Where requests go. base_path: such as /v1."""

    host: str
    port: int
    base_path: str
    tls: ssl.SSLContext | None = None

    @classmethod
    def from_url(cls, url: str, *, insecure: bool = False) -> Target:
        parts = urlsplit(url)
        tls = None
        if parts.scheme == "https":
            tls = ssl.create_default_context()
            if insecure:
                tls.check_hostname = False
                tls.verify_mode = ssl.CERT_NONE
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname or "127.0.0.1", port, parts.path.rstrip("/"), tls)


@dataclass(frozen=True)
class Reply:
    """A whole answer. headers: names in lower case. cut: why it is not whole; None if it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: str | None

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is none."""
        with suppress(ValueError):
            return json.loads(self.body)
        return None

    def __str__(self) -> str:
        cut = f", cut: {self.cut}" if self.cut else ""
        return f"{self.status} {self.body[:100]!r}{cut}"


class Exchange:
    """One request on a connection of its own, and its answer as it comes.

    status 0 is an answer that never got a head.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._over_tls = writer.get_extra_info("ssl_object") is not None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.cut: str | None = None
        self.ended = False
        self._left_bytes: int | None = None  # of the chunk or body; None: until the end
        self._chunked = False

    async def send(self, head: bytes, body: bytes) -> None:
        self._writer.write(head + body)
        # A gateway that refuses a large body may close before it has read it.
        with suppress(ConnectionError):
            await self._writer.drain()

    async def head(self) -> int:
        """Read the status and the headers."""
        try:
            text = b"HTTP/1.1 100"
            while text.startswith(b"HTTP/1.1 100"):
                text = await self._reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as problem:
            self._end(f"no head: {_name(problem)}")
            return 0
        first, *lines = text.decode("latin-1").split("\r\n")
        if not first.startswith("HTTP/1.") or not first[9:12].isdigit():
            self._end(f"no HTTP: {first[:60]!r}")
            return 0
        self.status = int(first[9:12])
        for line in lines:
            name, _, value = line.partition(":")
            if name:
                self.headers[name.lower()] = value.strip()
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        if self._chunked:
            self._left_bytes = 0
        elif "content-length" in self.headers:
            self._left_bytes = int(self.headers["content-length"])
        return self.status

    async def read(self) -> bytes:
        """What is there of the body, as soon as anything is; empty at the end."""
        if self.ended:
            return b""
        try:
            return await self._read()
        except asyncio.IncompleteReadError:
            self._end("the connection was closed before the end")
        except (OSError, ValueError) as problem:
            self._end(_name(problem))
        return b""

    async def _read(self) -> bytes:
        if self._chunked and self._left_bytes == 0:
            line = await self._reader.readline()
            if not line:
                raise asyncio.IncompleteReadError(b"", None)
            self._left_bytes = int(line, 16)
            if self._left_bytes == 0:
                await self._reader.readline()
                self._end(None)
                return b""
        if self._left_bytes == 0:
            self._end(None)
            return b""
        data = await self._reader.read(min(self._left_bytes or _READ_BYTES, _READ_BYTES))
        if self._left_bytes is None:
            if not data:
                self._end(None)
            return data
        if not data:
            raise asyncio.IncompleteReadError(b"", None)
        self._left_bytes -= len(data)
        if self._chunked and self._left_bytes == 0:
            await self._reader.readexactly(2)
        return data

    def _end(self, cut: str | None) -> None:
        self.ended, self.cut = True, cut

    async def rest(self) -> Reply:
        """All that is left of the answer, its head too if nobody has read it."""
        if not self.status and not self.ended:
            await self.head()
        pieces = []
        while not self.ended:
            pieces.append(await self.read())
        return Reply(self.status, self.headers, b"".join(pieces), self.cut)

    async def read_until(self, wanted: bytes) -> bytes:
        """Read until `wanted` was seen or the answer has ended; what was read."""
        read = b""
        while wanted not in read and not self.ended:
            read += await self.read()
        return read

    async def leave(self) -> None:
        """Close the connection, as a client does that has lost interest."""
        if not self.ended:
            self._end("the client left")
        self._writer.close()
        if self._over_tls:
            # asyncio waits for the other side's close_notify; a client that has gone does not.
            await asyncio.sleep(0.02)
            self._writer.transport.abort()


def _name(problem: Exception) -> str:
    return f"{type(problem).__name__} {problem}".strip()[:100]


@asynccontextmanager
async def exchange(
    target: Target,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    receive_buffer_bytes: int | None = None,
) -> AsyncIterator[Exchange]:
    """Send a request on a new connection. A body with a Transfer-Encoding is sent as it is."""
    plain = socket.socket()
    plain.setblocking(False)
    if receive_buffer_bytes:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    try:
        await asyncio.get_running_loop().sock_connect(plain, (target.host, target.port))
        reader, writer = await asyncio.open_connection(
            sock=plain,
            ssl=target.tls,
            server_hostname=target.host if target.tls else None,
            limit=receive_buffer_bytes or 2**18,
        )
    except OSError:
        plain.close()
        raise
    fields = {"host": f"{target.host}:{target.port}", **headers}
    if "transfer-encoding" not in fields and method == "POST":
        fields["content-length"] = str(len(body))
    lines = [f"{method} {target.base_path}{path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    found = Exchange(reader, writer)
    try:
        await found.send("\r\n".join([*lines, "", ""]).encode(), body)
        yield found
    finally:
        await found.leave()
