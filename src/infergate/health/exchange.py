"""One GET over a connection of its own, as cheap as it can be: a thousand backends are asked twice
each in three seconds, and httpx takes four times as much CPU for it.

Not a general client: no redirects, proxies, cookies, kept connections or HTTP/2.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

from infergate.config.addresses import is_ip

MAX_BODY_BYTES = 4 * 1024**2
"""Longest answer read. Ollama writes about 400 bytes per model, vLLM 600."""

_MAX_HEAD_BYTES = 100 * 1024
_PIECE_BYTES = 65536

_NEXT_ADDRESS_AFTER_S = 0.25
"""Until the next address of a name is tried beside one that has not answered (RFC 8305)."""

_FIELDS = (
    (b"user-agent", b"infergate-health"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"identity"),
    (b"connection", b"close"),
)


class ClosedEarly(Exception):
    """The other side closed the connection before its answer was whole. silent: or had begun."""

    def __init__(self, *, silent: bool) -> None:
        super().__init__("closed early")
        self.silent = silent


class TooLong(Exception):
    """An answer of more than MAX_BODY_BYTES."""


class NotSendable(Exception):
    """A header that HTTP cannot carry."""


@dataclass(frozen=True)
class Raw:
    """What came back: status, headers by lower-case name, and the body as it was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Exchange:
    """A GET of root_url + path. awaited: what it waits for at this moment; "" for the name.

    tls: for https. headers: to send beside the usual ones.
    """

    root_url: str
    path: str
    tls: ssl.SSLContext
    headers: Iterable[tuple[str, str]] = ()
    awaited: str = field(default="connection", init=False)

    async def run(self) -> Raw:
        """The answer. Takes as long as the other side likes; the caller sets the limit.

        Raises OSError (ssl's and gaierror among them), ClosedEarly, TooLong, NotSendable, and
        h11.RemoteProtocolError for what is no HTTP.
        """
        url = urlsplit(self.root_url)
        host, encrypted = url.hostname or "", url.scheme == "https"
        port = url.port or (443 if encrypted else 80)
        protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        usual = port == (443 if encrypted else 80)
        request = self._request(protocol, _in_url(host) if usual else url.netloc, url.path)
        connection = await connected(host, port)
        try:
            reader, writer = await asyncio.open_connection(
                sock=connection,
                limit=_PIECE_BYTES,
                ssl=self.tls if encrypted else None,
                server_hostname=host if encrypted else None,
            )
        except BaseException:
            connection.close()
            raise
        try:
            writer.write(request)
            self.awaited = "answer"
            return await self._answer(protocol, reader)
        finally:
            writer.transport.abort()  # whatever it still sends is of no use

    def _request(self, protocol: h11.Connection, netloc: str, prefix: str) -> bytes:
        fields: list[tuple[bytes, bytes]] = [(b"host", netloc.encode()), *_FIELDS]
        try:
            fields += [(name.encode(), value.encode("ascii")) for name, value in self.headers]
            head = protocol.send(
                h11.Request(method="GET", target=(prefix + self.path).encode(), headers=fields)
            )
        except (h11.LocalProtocolError, UnicodeError) as problem:
            raise NotSendable from problem
        return (head or b"") + (protocol.send(h11.EndOfMessage()) or b"")

    async def _answer(self, protocol: h11.Connection, reader: asyncio.StreamReader) -> Raw:
        head: h11.Response | h11.InformationalResponse | None = None
        body = bytearray()
        ended = False
        while True:
            try:
                event = protocol.next_event()
            except h11.RemoteProtocolError:
                if ended and head is not None:
                    raise ClosedEarly(silent=False) from None
                raise
            if event is h11.NEED_DATA:
                piece = await reader.read(_PIECE_BYTES)
                ended = not piece
                if ended and head is None:
                    if protocol.trailing_data[0]:
                        raise h11.RemoteProtocolError("no whole head")
                    raise ClosedEarly(silent=True)
                protocol.receive_data(piece)
            elif isinstance(event, h11.Response):
                head, self.awaited = event, "end of the answer"
            elif isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:  # nobody asked for another protocol
                    return Raw(101, {}, b"")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    raise TooLong
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {
                    name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers
                }
                return Raw(head.status_code, headers, bytes(body))
            else:
                raise ClosedEarly(silent=head is None)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def connected(host: str, port: int) -> socket.socket:
    """A connection to the first address of a host that takes one. Raises OSError: the last one's.

    A name is expected to resolve (resolve.py), so that it does not hold one of the loop's threads.
    """
    if is_ip(host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return await _connect(family, (host, port))
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    if len(addresses) == 1:
        return await _connect(*addresses[0])
    return await _first(addresses)


async def _connect(family: int, address: tuple[object, ...]) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


async def _first(addresses: Iterable[tuple[int, tuple[object, ...]]]) -> socket.socket:
    """The first connection of several addresses, each tried a moment after the one before.

    As asyncio's own happy eyeballs, which joins several errors to a text without their numbers.
    """
    trying: set[asyncio.Task[socket.socket]] = set()
    problem: BaseException = OSError("no address")
    waiting = list(addresses)
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.create_task(_connect(*waiting.pop(0))))
            pause_s = _NEXT_ADDRESS_AFTER_S if waiting else None
            done, trying = await asyncio.wait(
                trying, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED
            )
            good = [task.result() for task in done if task.exception() is None]
            for surplus in good[1:]:
                surplus.close()
            if good:
                return good[0]
            for task in done:
                problem = task.exception() or problem
        raise problem
    finally:
        for task in trying:
            task.add_done_callback(_close)
            task.cancel()


def _close(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
