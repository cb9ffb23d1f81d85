"""What the templates know of TLS beside each site's certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infergate.certificates.sites import API, Site, sites
from infergate.config.addresses import is_ip
from infergate.config.root import Config

if TYPE_CHECKING:
    from infergate.nginx.render import Surroundings


def tls_values(config: Config, around: Surroundings) -> dict[str, object]:
    """mutual_tls: whether a site wants certificates of its clients. handshakes: by host name, or ""
    for a client that names none, the site whose certificate and client_ca nginx takes for it."""
    tls, found = config.tls, sites(config)
    sources = {site.source for site in found}
    by_http = tls is not None and tls.acme is not None and tls.acme.challenge == "http-01"
    mutual = frozenset(site.name for site in found if site.client_ca)
    return {
        "tls": tls,
        "hsts": tls.hsts.header if tls and tls.hsts and sources else "",
        "public": str(around.home.public),
        "answers_challenges": by_http and "acme" in sources,
        "gives_ca": "self-signed" in sources,
        "mutual_tls": mutual,
        "handshakes": _handshakes(found) if mutual else {},
        "any_handshake": API if found and not found[0].hosts else '""',
    }


def _handshakes(found: tuple[Site, ...]) -> dict[str, str]:
    """A host that is an address cannot be named in a handshake (RFC 6066, 3). A handshake without a
    name is with nginx's default server, which shows and asks for what the API's first site does."""
    named = {host: site.name for site in found for host in site.hosts if not is_ip(host)}
    by_address = not found[0].hosts or any(is_ip(host) for host in found[0].hosts)
    return named | ({"": API} if by_address else {})
