"""Backends, services and login endpoints as the templates see them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from infergate.config.addresses import is_ip
from infergate.config.backends import Backend
from infergate.config.root import Config
from infergate.config.services import Forward, Service
from infergate.nginx.access import Guard, guard_of_service
from infergate.nginx.passwords import longest_of, mark_of

if TYPE_CHECKING:
    from infergate.nginx.render import Surroundings

UNRESOLVED = "127.0.0.1:1"
"""Stands in for a name that does not resolve: refused at once, so another backend is tried."""


@dataclass(frozen=True)
class LoginEndpoint:
    """A login endpoint as the templates see it."""

    upstream: str
    url: str
    scheme: str
    hostname: str
    own_host: str
    path_prefix: str
    addresses: tuple[str, ...]
    verify_tls: bool
    login: str | None
    path: str | None
    headers: tuple[str, ...]


@dataclass(frozen=True)
class ServiceFiles:
    """Of a service, what nginx keeps. zone: its name; server: another text once the service is
    another server, whose answers are others."""

    zone: str
    server: str
    paths: tuple[str, ...]
    ttl_s: int
    max_size: int


@dataclass(frozen=True)
class Upstream:
    """A backend or service as the templates see it."""

    name: str
    upstream: str
    url: str
    scheme: str
    hostname: str
    host_header: str
    path_prefix: str
    addresses: tuple[str, ...]
    api_key: str | None
    verify_tls: bool = True
    auth: str = "key"
    host: str | None = None
    path: str | None = None
    variable: str = ""
    max_body: int = 0
    own_host: str = ""
    api_key_header: str = "api-key"
    idle_s: int = 0
    ca_file: str = ""
    guard: Guard | None = None
    forward: LoginEndpoint | None = None
    passwords_file: str = ""
    passwords_mark: str = ""
    passwords_longest: int | None = None
    security_headers: bool = True
    client_headers: tuple[str, ...] = ()
    kept: ServiceFiles | None = None
    cors_scope: str = ""
    own_hosts: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def _addresses(host: str, port: int, resolved: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    found = (host,) if is_ip(host) else resolved.get(host, ())
    return tuple(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in found) or (UNRESOLVED,)


def _host_header(host: str, port: int, scheme: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == (443 if scheme == "https" else 80) else f"{shown}:{port}"


def _own_hosts(url: Backend, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """What a service may call itself in a redirect: nobody outside knows these names."""
    shown = f"[{url.host}]" if ":" in url.host else url.host
    named = (_host_header(url.host, url.port, url.scheme), f"{shown}:{url.port}")
    return tuple(dict.fromkeys((*named, *(each for each in addresses if each != UNRESOLVED))))


def backend_of(name: str, backend: Backend, resolved: Mapping[str, tuple[str, ...]]) -> Upstream:
    return Upstream(
        name=name,
        upstream=name,
        url=backend.url,
        scheme=backend.scheme,
        hostname=backend.host,
        host_header=_host_header(backend.host, backend.port, backend.scheme),
        path_prefix=backend.path_prefix,
        addresses=_addresses(backend.host, backend.port, resolved),
        api_key=None,
        headers=backend.sent_headers,
        verify_tls=backend.verify_tls,
    )


@dataclass(frozen=True)
class BackendHeader:
    """A header that some backends get from us, and no backend from a client. name: in lower case.

    variable: of nginx, its value for the backend that was chosen. values: backend and value.
    """

    name: str
    variable: str
    values: tuple[tuple[str, str], ...]


def backend_headers(backends: Sequence[Upstream]) -> tuple[BackendHeader, ...]:
    """All of them: a variable costs every request something, so each is there only if needed."""
    names = dict.fromkeys(name for backend in backends for name in backend.headers)
    return tuple(
        BackendHeader(
            name,
            f"$ig_backend_header_{number}",
            tuple((each.name, each.headers[name]) for each in backends if name in each.headers),
        )
        for number, name in enumerate(names)
    )


def service_of(config: Config, around: Surroundings, name: str, index: int) -> Upstream:
    service = config.services[name]
    url = Backend(url=service.http_url)
    own_host = _host_header(url.host, url.port, url.scheme)
    passwords = around.passwords.get(name)
    mark = mark_of(passwords) if passwords else ""
    return Upstream(
        name=name,
        upstream=f"_service_{name}",
        url=service.url,
        scheme=service.url.partition(":")[0],
        hostname=url.host,
        # A service of its own name must know that name; one below a path its own address.
        host_header="$ig_host" if service.host else own_host,
        own_host=own_host,
        path_prefix=urlsplit(service.url).path,
        addresses=_addresses(url.host, url.port, around.addresses),
        api_key=service.api_key.get_secret_value() if service.api_key else None,
        api_key_header=service.api_key_header,
        verify_tls=service.verify_tls,
        ca_file=str(around.folder / service.ca_file) if service.ca_file else "",
        auth=service.auth,
        host=service.host,
        path=service.path,
        variable=str(index),
        max_body=config.limits.max_body if service.max_body is None else service.max_body,
        idle_s=math.ceil(service.idle),
        guard=guard_of_service(config, service, index),
        forward=_login_endpoint(name, service.forward, around) if service.forward else None,
        passwords_file=str(around.home.passwords(name, mark)) if mark else "",
        passwords_longest=longest_of(passwords) if passwords else None,
        passwords_mark=mark,
        security_headers=service.security_headers,
        client_headers=tuple(service.client_headers),
        kept=_kept(name, service),
        cors_scope=f"s{index}" if service.cors else "",
        own_hosts=_own_hosts(url, _addresses(url.host, url.port, around.addresses)),
    )


def _kept(name: str, service: Service) -> ServiceFiles | None:
    if service.cache is None:
        return None
    return ServiceFiles(
        zone=f"service-{name}",
        server=hashlib.sha256(service.url.encode()).hexdigest()[:16],
        paths=tuple(service.cache.paths),
        ttl_s=math.ceil(service.cache.ttl),
        max_size=service.cache.max_size,
    )


def _login_endpoint(name: str, forward: Forward, around: Surroundings) -> LoginEndpoint:
    url = Backend(url=forward.url)
    return LoginEndpoint(
        upstream=f"_forward_{name}",
        url=forward.url,
        scheme=url.scheme,
        hostname=url.host,
        own_host=_host_header(url.host, url.port, url.scheme),
        path_prefix=urlsplit(forward.url).path or "/",
        addresses=_addresses(url.host, url.port, around.addresses),
        verify_tls=forward.verify_tls,
        login=forward.login,
        path=forward.path,
        headers=tuple(forward.headers),
    )
