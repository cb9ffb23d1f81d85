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
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import anyio
import httpx

from infergate.config.backends import Backend
from infergate.health.engines import Kind
from infergate.health.resolve import resolves

MAX_BODY_BYTES = 4 * 1024**2
"""Longest answer read. Ollama writes about 400 bytes per model, vLLM 600."""

LATE_S = 0.2
"""A timeout that comes this much too late was not waited for: the machine was overloaded, or this
process stopped or its virtual machine paused. The answer may have been there all the time."""


@dataclass(frozen=True)
class Target:
    """A backend as the prober sees it.

    root_url: what /v1, /api and /health hang below, without a trailing slash.
    kind: None while nobody knows what runs there.
    check: what shows that it is up: "auto", by its kind; a path that answers 2xx; or "tcp".
    timeout_s: for one probe, from the start of the name lookup to the end of the answer.
    api_key: sent as Bearer.
    """

    root_url: str
    kind: Kind | None = None
    timeout_s: float = 1.0
    api_key: str | None = None
    verify_tls: bool = True
    check: str = "auto"

    @classmethod
    def of(cls, backend: Backend, timeout_s: float) -> Target:
        """The target for a backend of the configuration."""
        return cls(
            root_url=backend.root_url,
            kind=None if backend.engine == "auto" else backend.engine,
            timeout_s=timeout_s,
            api_key=backend.api_key.get_secret_value() if backend.api_key else None,
            verify_tls=backend.verify_tls,
            check=backend.health,
        )


@dataclass(frozen=True)
class Answer:
    """What came back. latency_s: until the whole answer was there."""

    status: int
    headers: httpx.Headers
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


def make_client(*, verify_tls: bool = True, ca_file: Path | None = None) -> httpx.AsyncClient:
    """A client for `get`: no proxies, no redirects, no cookies, no kept connections.

    Certificates are checked against ca_file, or without one against the system's store (and
    SSL_CERT_FILE), where the certificate of a private authority is installed for every other
    program too.
    """
    context = ssl.create_default_context(cafile=ca_file) if verify_tls else _unverified()
    return httpx.AsyncClient(
        transport=_OneShot(context),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113  `get` limits the whole exchange; a drip defeats a read timeout
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        headers={"user-agent": "infergate-health", "accept-encoding": "identity"},
    )


class _OneShot(httpx.AsyncBaseTransport):
    """A connection pool of its own for each request.

    httpcore's pool compares every request with every connection, and with some hundred of both,
    some of them cancelled by timeouts, it was seen to reassign them for ever and so stop this
    process (httpcore 1.0.9). We keep no connections anyway.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pool = httpx.AsyncHTTPTransport(
            verify=self._context, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        return await pool.handle_async_request(request)  # closing the response closes the rest


async def get(client: httpx.AsyncClient, target: Target, path: str) -> Answer | NoAnswer:
    """GET one path of a target, within target.timeout_s altogether.

    Raises OurFault, and nothing else but cancellation.
    """
    began = time.monotonic()
    stage = _Stage()
    host = httpx.URL(target.root_url).host
    reason = f"the name {host} does not resolve"
    try:
        async with asyncio.timeout(target.timeout_s):
            if not await resolves(host):
                return NoAnswer(reason, time.monotonic() - began)
            stage.awaited = "connection"
            return await _exchange(client, target, path, began, stage)
    except TimeoutError:
        took_s = _not_late(began, target.timeout_s)
        if stage.awaited:
            reason = f"no {stage.awaited} within {target.timeout_s:g} s"
        return NoAnswer(reason, took_s, timed_out=True)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as problem:
        reason = explain(problem)
    return NoAnswer(reason, time.monotonic() - began)


async def connect(target: Target) -> float | NoAnswer:
    """Connect to a target and hang up; the seconds that took, at most target.timeout_s.

    Raises OurFault, and nothing else but cancellation.
    """
    began = time.monotonic()
    url = httpx.URL(target.root_url)
    reason = f"the name {url.host} does not resolve"
    try:
        async with asyncio.timeout(target.timeout_s):
            if await resolves(url.host):
                reason = f"no connection within {target.timeout_s:g} s"
                port = url.port or (443 if url.scheme == "https" else 80)
                await (await anyio.connect_tcp(url.host, port)).aclose()
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


class _Stage:
    """How far an exchange came, told by httpcore's trace events."""

    awaited = ""

    async def __call__(self, event: str, _: dict[str, Any]) -> None:
        if event.endswith("connect_tcp.complete"):
            self.awaited = "answer"
        elif event.endswith("receive_response_headers.complete"):
            self.awaited = "end of the answer"


async def _exchange(
    client: httpx.AsyncClient, target: Target, path: str, began: float, stage: _Stage
) -> Answer | NoAnswer:
    headers = {"connection": "close"}
    if target.api_key:
        headers["authorization"] = f"Bearer {target.api_key}"
    url = target.root_url + path
    async with client.stream("GET", url, headers=headers, extensions={"trace": stage}) as response:
        body = bytearray()
        # aiter_raw: a compressed answer, which we did not ask for, stays as long as it came.
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                return NoAnswer(
                    f"an answer from {path} of more than {MAX_BODY_BYTES // 1024**2} MB",
                    time.monotonic() - began,
                )
    return Answer(response.status_code, response.headers, bytes(body), time.monotonic() - began)


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
    if isinstance(problem, httpx.RemoteProtocolError):
        silent = "without sending" in str(problem)
        return "it closed the connection without an answer" if silent else "its answer is not HTTP"
    if isinstance(problem, httpx.ReadError):
        return "it closed the connection in the middle of the answer"
    if isinstance(problem, httpx.LocalProtocolError | UnicodeError):
        return "its api_key has characters that no HTTP header can carry"
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
