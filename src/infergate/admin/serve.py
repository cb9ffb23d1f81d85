"""The process that serves the admin API on sockets that the supervisor holds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from infergate.admin.app import api
from infergate.admin.gateway import Gateway
from infergate.admin.guard import UID, AdminGuard
from infergate.admin.scrapes import Scrapes
from infergate.certificates.served import served_certificates
from infergate.certificates.sites import API
from infergate.config.addresses import is_loopback
from infergate.config.load import LoadedConfig
from infergate.config.url import own_url_of
from infergate.errors import InfergateError
from infergate.live.revisions import load_applied
from infergate.log import log
from infergate.page.app import Page
from infergate.paths import Home
from infergate.serving import SocketServer, serve_all
from infergate.state_folder import home_for

_STOP_S = 3
_CONNECTIONS = 200


class CurrentGateway:
    """The gateway as it is active, whatever has been written into its file since."""

    def __init__(self, path: Path) -> None:
        self._path, self._home = path, home_for(path)
        self._number = _revision(self._home)
        self._gateway = Gateway(load_applied(self._home, path), self._home, keep=True)

    def __call__(self) -> Gateway:
        """The gateway now. While its configuration cannot be read, it is as it was before."""
        try:
            number = _revision(self._home)
            if number != self._number:
                self._take(load_applied(self._home, self._path))
                self._number = number
        except (InfergateError, OSError) as problem:
            log.error("the configuration was not read again", problem=str(problem))
        # What operators changed and discovery found is read anew for each request.
        now = Gateway(self._gateway.declared, self._home, keep=True)
        now.database = self._gateway.database
        return now

    def _take(self, declared: LoadedConfig) -> None:
        database, store = self._gateway.database, self._gateway.declared.config.store
        self._gateway = Gateway(declared, self._home, keep=True)
        if declared.config.store == store:
            self._gateway.database = database


def _revision(home: Home) -> str:
    return str(home.current.resolve())


class _WithPeer(H11Protocol):
    """HTTP that knows which user is at the other end of a unix socket (unix(7), SO_PEERCRED)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer: Any = transport.get_extra_info("socket")
        if peer is not None and peer.family == socket.AF_UNIX:
            size = struct.calcsize("3i")
            credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            _, uid, _ = struct.unpack("3i", credentials)
            self.app_state = {**self.app_state, UID: uid}


class _Certificate:
    """The gateway's own certificate, for a listener that other machines reach."""

    def __init__(self, gateway: Callable[[], Gateway]) -> None:
        self._gateway = gateway
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._seen: tuple[Path, int] | None = None
        self.follow()

    def follow(self) -> None:
        """Take over one that was renewed: it counts for the connections that come."""
        gateway = self._gateway()
        served = served_certificates(gateway.declared, gateway.home).get(API)
        if served is None:
            return
        seen = (served.certificate, served.certificate.stat().st_mtime_ns)
        if seen != self._seen:
            self.context.load_cert_chain(served.certificate, served.key)
            self._seen = seen


async def serve(path: Path, sockets: list[socket.socket]) -> None:
    """Serve until SIGTERM, or until the supervisor that started us is gone."""
    gateway = CurrentGateway(path)
    certificate = _Certificate(gateway) if with_tls(gateway().declared) else None
    operations = Page(
        AdminGuard(api(gateway), gateway),
        gateway_url=lambda: own_url_of(gateway().loaded.config),
        enabled=lambda: gateway().declared.config.admin.page,
    )
    scrapes = Scrapes(gateway)
    of_workers = str(gateway().home.metrics_socket)
    servers = [
        (
            _server(scrapes if each.getsockname() == of_workers else operations, each, certificate),
            each,
        )
        for each in sockets
    ]

    def look() -> None:
        if certificate is not None:
            with contextlib.suppress(OSError, InfergateError):  # being written; soon there
                certificate.follow()

    await serve_all(servers, look)


def _server(
    app: ASGIApp, listener: socket.socket, certificate: _Certificate | None
) -> SocketServer:
    """One for each socket: only TCP has TLS, and who fills one up leaves the other free."""
    config = uvicorn.Config(
        app,
        http=_WithPeer,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_STOP_S,
        headers=[("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")],
    )
    config.load()
    if listener.family != socket.AF_UNIX and certificate is not None:
        config.ssl = certificate.context
    return SocketServer(config)


def with_tls(declared: LoadedConfig) -> bool:
    """Whether the TCP listener speaks TLS: where others than this machine can reach it."""
    listen = declared.config.admin.listen
    return listen is not None and not is_loopback(listen)
