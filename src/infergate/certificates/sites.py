"""Which host names share a TLS server of nginx, and where its certificate comes from.

Pure: a function of the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from infergate.config.addresses import is_ip
from infergate.config.root import Config
from infergate.config.tls import Tls, TlsFiles

Source = Literal["acme", "files", "self-signed"]

API = "api"
"""The name of the first site: nginx's default server, for clients that name no host, too."""

CA_NAME = "Infergate CA"
"""What the subject of the CA that we make begins with; the machine's name follows."""


@dataclass(frozen=True)
class Site:
    """Host names that share a server, a certificate, and whether clients need one.

    name: of its file in sites-available; the first is always `api`.
    service: which service is there; None where it is the API.
    hosts: as the configuration writes them; empty at the API is any.
    files: for the source `files`. client_ca: the CA of clients' certificates, if they need one.
    """

    name: str
    service: str | None
    hosts: tuple[str, ...]
    source: Source
    files: TlsFiles | None = None
    client_ca: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts that an ACME authority can certify: names, no addresses."""
        return tuple(dict.fromkeys(h.lower().rstrip(".") for h in self.hosts if not is_ip(h)))


def sites(config: Config) -> tuple[Site, ...]:
    """The TLS servers of this gateway, the API's first; none without an https listener."""
    tls = config.tls
    if tls is None or config.listen.https is None:
        return ()
    return (
        *_api_sites(tls, config.listen.hosts),
        *(
            _site(tls, f"service-{name}", name, (service.host,))
            for name, service in config.services.items()
            if service.host is not None
        ),
    )


def _api_sites(tls: Tls, hosts: list[str]) -> Iterator[Site]:
    common = tuple(host for host in hosts if host not in tls.hosts)
    if common or not hosts:
        yield _site(tls, API, None, common)
    for index, host in enumerate(host for host in hosts if host in tls.hosts):
        first = index == 0 and not common
        yield _site(tls, API if first else f"host-{file_name(host)}", None, (host,))


def _site(tls: Tls, name: str, service: str | None, hosts: tuple[str, ...]) -> Site:
    own = tls.hosts.get(hosts[0]) if hosts else None
    client_ca = (own.client_ca if own else None) or tls.client_ca
    if own is not None and own.files is not None:
        return Site(name, service, hosts, "files", own.files, client_ca)
    if own is not None and own.self_signed:
        return Site(name, service, hosts, "self-signed", None, client_ca)
    site = Site(name, service, hosts, "self-signed", None, client_ca)
    if tls.files is not None:
        return Site(name, service, hosts, "files", tls.files, client_ca)
    if tls.acme is not None and site.names:
        return Site(name, service, hosts, "acme", None, client_ca)
    return site


def file_name(host: str) -> str:
    """A host name as a file's name: a wildcard's star and an address's colons are underscores."""
    return host.lower().rstrip(".").strip("[]").replace("*", "_").replace(":", "_")
