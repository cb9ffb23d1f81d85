"""Which files nginx serves at each site: the site's own, or one made here until there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from infergate.certificates import local_ca
from infergate.certificates.facts import Facts, read_facts
from infergate.certificates.record import certificate_path
from infergate.certificates.sites import API, Site, sites
from infergate.config.addresses import is_loopback
from infergate.config.load import LoadedConfig
from infergate.config.root import Config
from infergate.errors import CertificateError
from infergate.paths import Home


@dataclass(frozen=True)
class ServedCertificate:
    """A certificate as nginx is told of it.

    key: its private key; in the same file where we made or fetched it.
    client_ca: of the certificates that clients need, if they need one.
    responder: the host that says whether it was revoked (OCSP), where the certificate names one and
        its issuer is there to check the answer with.
    """

    certificate: Path
    key: Path
    client_ca: Path | None
    responder: str | None


def served_certificates(loaded: LoadedConfig, home: Home) -> Mapping[str, ServedCertificate]:
    """The files of each site, by its name.

    Makes a self-signed certificate where the configuration asks for one, or where an authority has
    issued none yet: a gateway without its certificate starts all the same.
    """
    every = sites(loaded.config)
    ours = [site for site in every if needs_ours(site, home)]
    hosts = tuple(host for site in ours for host in site.hosts)
    if any(not site.hosts for site in ours):
        hosts += local_ca.own_names()
    if any(site.name == API for site in ours):
        hosts += _admin_hosts(loaded.config)
    hosts = tuple(dict.fromkeys(hosts))
    found = {}
    for site in every:
        if site.source == "files":
            assert site.files is not None  # noqa: S101 - this source has them
            certificate = loaded.resolve(site.files.certificate)
            key = loaded.resolve(site.files.key)
        elif site in ours:
            certificate = key = local_ca.certificate_for(hosts, home)
        else:
            certificate = key = certificate_path(site, home)
        facts = facts_at(certificate)
        ocsp = facts.ocsp if facts is not None and facts.chained else None
        responder = urlsplit(ocsp).hostname if ocsp else None
        client_ca = loaded.resolve(site.client_ca) if site.client_ca else None
        found[site.name] = ServedCertificate(certificate, key, client_ca, responder)
    return found


def _admin_hosts(config: Config) -> tuple[str, ...]:
    """What the admin API is called by, which has the API's certificate where it needs one."""
    listen = config.admin.listen
    if listen is None or is_loopback(listen):
        return ()
    host = listen.rpartition(":")[0].strip("[]")
    everywhere = host in ("*", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return (*config.admin.hosts, *(local_ca.own_names() if everywhere else (host,)))


def needs_ours(site: Site, home: Home) -> bool:
    """Whether one made here is served, permanently or until an authority issues one."""
    if site.source == "acme":
        facts = facts_at(certificate_path(site, home))
        return facts is None or not set(facts.names) & set(site.names)
    return site.source == "self-signed"


def facts_at(path: Path) -> Facts | None:
    """What the file says; None if there is none that can be read."""
    try:
        return read_facts(path)
    except CertificateError:
        return None
