"""Where something listens or is reached, as infergate.yaml says it: hosts, networks, URLs, ports.

As in types.py, each refuses what could not be rendered safely.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from infergate.config.types import URL_PATH

_HOST_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_HOST_LABEL}(?:\.{_HOST_LABEL})*\.?")
_LOGIN_URL = re.compile(
    r"(?:https?://[A-Za-z0-9_.-]+(?::\d{1,5})?)?/(?!/)[A-Za-z0-9_.~/-]*(?:\?[A-Za-z0-9_.~/=&%+-]*)?"
)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9_.:\[\]-]{1,253}")


def is_ip(host: str) -> bool:
    """Whether host is an IPv4 or IPv6 address, the latter with or without brackets."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _host(value: str) -> str:
    if not is_ip(value) and not _HOST.fullmatch(value):
        raise ValueError(f"{value!r} is not a host name or an IP address")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=True))
    except ValueError as problem:
        raise ValueError(
            f"{value!r} is not an address or a network like 10.0.0.0/24: {problem}"
        ) from None


def _http_url(value: str) -> str:
    if re.search(r"[\s?#\x00-\x1f\x7f]", value):  # urlsplit overlooks some of them
        raise ValueError("a base URL has no spaces, no query, no fragment")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as problem:
        raise ValueError(f"{value!r} is not a URL: {problem}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{value!r} is not a URL like http://10.0.0.5:8000")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user or password in a URL; use api_key: ${NAME} instead")
    if parts.query or parts.fragment or port == 0:
        raise ValueError(f"{value!r} is not a base URL: no query, no fragment, a port above 0")
    if not is_ip(parts.hostname) and not _HOST.fullmatch(parts.hostname):
        raise ValueError(f"{parts.hostname!r} is not a host name or an IP address")
    if not URL_PATH.fullmatch(parts.path):
        raise ValueError(
            f"the path {parts.path!r} has characters other than letters, digits, '._~-/'"
        )
    return value.rstrip("/")


def _service_url(value: str) -> str:
    grpc = re.match(r"grpc(?=s?://)", value)
    return "grpc" + _http_url("http" + value[4:])[4:] if grpc else _http_url(value)


def _login_url(value: str) -> str:
    if not _LOGIN_URL.fullmatch(value):
        raise ValueError(f"{value!r} is not a URL or path such as https://auth.example.com/?rd=")
    return value


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError(
            f"{value!r} is not an origin: a scheme, a host and no path, such as "
            "https://chat.example.com"
        )
    return value


def _origin_or_any(value: str) -> str:
    if value == "*":
        return value
    scheme, _, host = value.partition("://*.")
    if host and "*" not in host:
        _origin(f"{scheme}://{host}")
        return value
    return _origin(value)


def listen_address(value: Any) -> str:
    """A port or address:port, as address:port; a bare port listens on every address ("*")."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a port or address:port")
    text = str(value)
    address, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not a port (1 to 65535) or address:port")
    if address == "localhost":
        address = "127.0.0.1"
    if address not in ("", "*") and not is_ip(address):
        raise ValueError(f"{address!r} is not an IP address to listen on")
    if ":" in address and not address.startswith("["):
        raise ValueError(f"write an IPv6 address in brackets: [{address}]:{port}")
    return f"{address or '*'}:{port}"


def _host_port(value: str) -> str:
    """An address, or address:port; without a port, DNS's own."""
    address, _, port = value.rpartition(":") if value.count(":") == 1 else (value, "", "53")
    if value.startswith("[") and "]:" in value:
        address, _, port = value.rpartition(":")
    if not is_ip(address) or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{value!r} is not an address like 10.0.0.53 or 10.0.0.53:8600")
    return f"{address}:{port}"


Host = Annotated[str, AfterValidator(_host)]
Network = Annotated[
    str, AfterValidator(_network), WithJsonSchema({"type": "string", "format": "ip-network"})
]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
ServiceUrl = Annotated[str, AfterValidator(_service_url)]
HostPort = Annotated[str, AfterValidator(_host_port)]
Origin = Annotated[str, AfterValidator(_origin)]
OriginOrAny = Annotated[str, AfterValidator(_origin_or_any)]
LoginUrl = Annotated[str, AfterValidator(_login_url)]
ListenAddress = Annotated[
    str,
    BeforeValidator(listen_address),
    WithJsonSchema({"type": ["string", "integer"], "description": "a port or address:port"}),
]


def is_loopback(listen: str) -> bool:
    """Whether address:port is reachable from this machine only."""
    address = listen.rpartition(":")[0].strip("[]")
    return address != "*" and ipaddress.ip_address(address).is_loopback


def overlap(one: str, other: str) -> bool:
    """Whether two listeners, each address:port, would want the same address."""
    (host, _, port), (host2, _, port2) = one.rpartition(":"), other.rpartition(":")
    anywhere = ("*", "0.0.0.0", "[::]")  # noqa: S104 - compared, not bound
    return port == port2 and (host == host2 or host in anywhere or host2 in anywhere)
