"""What is asked of models: by way of nginx, on the listener that is for us alone, as the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from infergate.api.caller import Caller
from infergate.api.connection import Answer, Connection, Headers, NobodyThere, NotRead

_CONNECTIONS = 1000
_KEPT = 64
_KEPT_S = 30.0
"""nginx keeps an idle connection for 75 s (keepalive_timeout)."""


class TooLarge(Exception):
    """An answer that was to be read whole is larger than this."""


class Inner:
    """Asks nginx. Timeouts, queue and retries are there: nothing here gives a request up."""

    def __init__(self, socket: Path) -> None:
        """socket: of the listener (Home.inner_socket)."""
        self._socket = str(socket)
        self._room = asyncio.Semaphore(_CONNECTIONS)
        self._kept: list[Connection] = []

    @property
    def kept(self) -> int:
        """How many connections wait for a request."""
        return len(self._kept)

    @asynccontextmanager
    async def ask(
        self, caller: Caller, method: str, path: str, body: bytes, headers: Headers = ()
    ) -> AsyncIterator[Answer]:
        """The answer as it comes. Left by an exception, its connection is closed, and with it the
        backend's. Raises Unanswered where nginx is not there or breaks off."""
        if method != "POST":
            body = b""
        own = {
            **{name.encode(): value.encode("latin-1") for name, value in caller.headers.items()},
            b"content-type": b"application/json",
            b"accept-encoding": b"identity",
        }
        if method == "POST":
            own[b"content-length"] = str(len(body)).encode()
        sent = [*own.items(), *(each for each in headers if each[0] not in own)]
        async with self._room:
            while True:
                connection = self._free() or await self._new()
                try:
                    answer = await connection.ask(method, path, sent, body)
                except NotRead:
                    if connection.used == 1:
                        raise
                except BaseException:
                    connection.close()
                    raise
                else:
                    break
            try:
                yield answer
            except BaseException:
                connection.close()
                raise
            connection.over(self._keep)

    def _free(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        while self._kept:
            connection = self._kept.pop()
            if connection.usable and now - connection.idle_since < _KEPT_S:
                return connection
            connection.close()
        return None

    async def _new(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(Connection, self._socket)
        except OSError as problem:
            raise NobodyThere(f"nginx is not there: {problem}") from None
        return connection

    def _keep(self, connection: Connection) -> None:
        if len(self._kept) >= _KEPT:
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._kept.append(connection)


async def whole(answer: Answer, most_bytes: int) -> bytes:
    """The body of an answer. Raises TooLarge, and Unanswered where it breaks off."""
    found = bytearray()
    while part := await answer.part():
        found += part
        if len(found) > most_bytes:
            raise TooLarge
    return bytes(found)
