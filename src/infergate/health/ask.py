"""One GET to a backend, or one connection: bounded in time and size, with a reason in plain words
when it fails.

Every probe opens a connection of its own. So it also tests that the backend still accepts
connections, and a kept connection that the backend has just closed (llama.cpp: after five
seconds) never looks like a failure.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11

from infergate.config.backends import Backend
from infergate.health.exchange import (
    MAX_BODY_BYTES,
    ClosedEarly,
    Exchange,
    NotSendable,
    Raw,
    TooLong,
    connected,
)
from infergate.health.resolve import resolves
from infergate.kinds import KindName

LATE_S = 0.2
"""A timeout that comes this much too late was not waited for: the machine was overloaded, or this
process stopped or its virtual machine paused. The answer may have been there all the time."""

_TURNS = 3
"""Of the event loop, until what lies in the kernel has reached an exchange: the next look at the
sockets, the task that it wakes, and the one that waits for that."""


@dataclass(frozen=True)
class Target:
    """A backend as the prober sees it.

    root_url: what /v1, /api and /health hang below, without a trailing slash.
    kind: None while nobody knows what runs there.
    check: what shows that it is up: "auto", by its kind; a path that answers 2xx; or "tcp".
    timeout_s: for one probe, from the start of the name lookup to the end of the answer.
    headers: sent with each question, the key that it wants among them.
    """

    root_url: str
    kind: KindName | None = None
    timeout_s: float = 1.0
    headers: tuple[tuple[str, str], ...] = ()
    verify_tls: bool = True
    check: str = "auto"

    @classmethod
    def of(cls, backend: Backend, timeout_s: float) -> Target:
        """The target for a backend of the configuration."""
        return cls(
            root_url=backend.root_url,
            kind=None if backend.engine == "auto" else backend.engine,
            timeout_s=timeout_s,
            headers=tuple(backend.sent_headers.items()),
            verify_tls=backend.verify_tls,
            check=backend.health,
        )


@dataclass(frozen=True)
class ProbeAnswer:
    """What came back. headers: by lower-case name. latency_s: until the whole answer was there."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency_s: float

    def json(self) -> Any:
        """The body as JSON, or None if it is none: garbage is not worth an exception here."""
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class NoAnswer:
    """Nothing usable came back. reason: in plain words; latency_s: until that was clear.

    timed_out: it may have answered later.
    """

    reason: str
    latency_s: float
    timed_out: bool = False


class OurFault(Exception):
    """This process could not ask: out of file descriptors, ports or memory, or far too slow.

    It says nothing about the backend and must not count against it.
    """


@dataclass(frozen=True)
class ProbeClient:
    """What `get` asks with: whose certificates are trusted. It holds no connections."""

    tls: ssl.SSLContext


def make_client(*, verify_tls: bool = True, ca_file: Path | None = None) -> ProbeClient:
    """A client for `get`.

    Certificates are checked against ca_file, or without one against the system's store (and
    SSL_CERT_FILE), where the certificate of a private authority is installed for every other
    program too. That takes 25 ms to read.
    """
    return ProbeClient(ssl.create_default_context(cafile=ca_file) if verify_tls else _unverified())


async def get(client: ProbeClient, target: Target, path: str) -> ProbeAnswer | NoAnswer:
    """GET one path of a target, within target.timeout_s altogether.

    Raises OurFault, and nothing else but cancellation.
    """
    began = time.monotonic()
    exchange = Exchange(target.root_url, path, client.tls, target.headers)
    asking = asyncio.create_task(_resolved(exchange))
    try:
        await asyncio.wait((asking,), timeout=target.timeout_s)
        if not asking.done():
            took_s = _not_late(began, target.timeout_s)
            await _refuse_if_it_waited_for_us(asking, exchange)
            if not asking.done():
                return NoAnswer(_late_reason(exchange, target.timeout_s), took_s, timed_out=True)
        found = asking.result()
    except TooLong:
        reason = f"an answer from {path} of more than {MAX_BODY_BYTES // 1024**2} MB"
    except (ClosedEarly, NotSendable, h11.ProtocolError, OSError, ValueError) as problem:
        reason = explain(problem)
    else:
        if found is not None:
            return ProbeAnswer(found.status, found.headers, found.body, time.monotonic() - began)
        reason = _unresolved(exchange)
    finally:
        asking.cancel()
    return NoAnswer(reason, time.monotonic() - began)


async def _resolved(exchange: Exchange) -> Raw | None:
    """The exchange; None if its host's name does not resolve."""
    awaited, exchange.awaited = exchange.awaited, ""
    if not await resolves(urlsplit(exchange.root_url).hostname or ""):
        return None
    exchange.awaited = awaited
    return await exchange.run()


async def _refuse_if_it_waited_for_us(asking: asyncio.Task[Raw | None], exchange: Exchange) -> None:
    """Of a machine under load, what the backend did in time may lie in the kernel still.

    Raises OurFault if so. Bytes of the body do not count: they may drip for ever.
    """
    awaited = exchange.awaited
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    if not asking.done() and exchange.awaited != awaited:
        raise OurFault("this process was too busy to see the answer in time")


def _late_reason(exchange: Exchange, timeout_s: float) -> str:
    if exchange.awaited:
        return f"no {exchange.awaited} within {timeout_s:g} s"
    return _unresolved(exchange)


def _unresolved(exchange: Exchange) -> str:
    return f"the name {urlsplit(exchange.root_url).hostname} does not resolve"


async def connect(target: Target) -> float | NoAnswer:
    """Connect to a target and hang up; the seconds that took, at most target.timeout_s.

    Raises OurFault, and nothing else but cancellation.
    """
    began = time.monotonic()
    url = urlsplit(target.root_url)
    host = url.hostname or ""
    reason = f"the name {host} does not resolve"
    try:
        async with asyncio.timeout(target.timeout_s):
            if await resolves(host):
                reason = f"no connection within {target.timeout_s:g} s"
                (await connected(host, url.port or (443 if url.scheme == "https" else 80))).close()
                return time.monotonic() - began
    except TimeoutError:
        return NoAnswer(reason, _not_late(began, target.timeout_s), timed_out=True)
    except OSError as problem:
        reason = explain(problem)
    return NoAnswer(reason, time.monotonic() - began)


def _not_late(began: float, timeout_s: float) -> float:
    """The seconds since `began`. Raises OurFault if a timeout came much later than it should."""
    took_s = time.monotonic() - began
    if took_s > timeout_s + LATE_S:
        raise OurFault(f"this process was {took_s - timeout_s:.1f} s late")
    return took_s


_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}

_PLAIN = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was reset",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "the network is unreachable",
    errno.ETIMEDOUT: "no connection: the host does not answer",
    errno.EACCES: "connecting is not permitted",
    errno.EPERM: "connecting is not permitted, by a firewall rule on this machine",
}


def explain(problem: BaseException) -> str:
    """An exception of a request, as words for a person who did not write this program.

    Raises OurFault if the cause lies in this process.
    """
    causes = list(_causes(problem))
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _OURS:
            raise OurFault(cause.strerror) from problem
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS as expected; is the URL's https right?"
        if isinstance(cause, socket.gaierror):
            return "its name does not resolve"
        if isinstance(cause, OSError) and cause.errno in _PLAIN:
            return _PLAIN[cause.errno]
    if isinstance(problem, h11.RemoteProtocolError):
        return "its answer is not HTTP"
    if isinstance(problem, ClosedEarly):
        how = "without an answer" if problem.silent else "in the middle of the answer"
        return f"it closed the connection {how}"
    if isinstance(problem, NotSendable):
        return "its api_key or headers have characters that no HTTP header can carry"
    return f"the request failed: {problem or type(problem).__name__}"


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """An exception with everything that led to it, the members of groups included."""
    seen: set[int] = set()
    queue = [problem]
    while queue:
        current = queue.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        queue += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            queue += current.exceptions


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
