"""How each certificate stands, for `infergate cert list`, `status` and `doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infergate.certificates.facts import Facts, date, read_facts
from infergate.certificates.record import read_record
from infergate.certificates.renewal import renew_at
from infergate.certificates.report import Row
from infergate.certificates.served import ServedCertificate, facts_at, needs_ours
from infergate.certificates.sites import Site, sites
from infergate.config.addresses import is_ip
from infergate.config.load import LoadedConfig
from infergate.paths import Home

_SOON_S = 14 * 86400.0
"""A certificate of files that ends sooner was probably forgotten: certbot renews 30 days before."""


def overview(
    loaded: LoadedConfig, home: Home, served: Mapping[str, ServedCertificate], now: float
) -> tuple[Row, ...]:
    """Every TLS site, the API first. served: what nginx is told (served.py)."""
    return tuple(_row(site, served[site.name], home, now) for site in sites(loaded.config))


def ca_sha256(home: Home) -> str | None:
    """The fingerprint of the CA of the certificates that are made here; None if none was."""
    return read_facts(home.ca).sha256 if home.ca.exists() else None


def _row(site: Site, served: ServedCertificate, home: Home, now: float) -> Row:
    facts = facts_at(served.certificate)
    record = read_record(site, home) if site.source == "acme" else None
    stands_in = site.source == "acme" and needs_ours(site, home)
    problem, hint = next(_problems(site, served, now), ("", ""))
    if record is not None and record.problem:
        problem, hint = record.problem, record.hint
    elif stands_in:
        problem, hint = "none was issued yet; a self-signed one stands in", ""
    renewed = facts is not None and record is not None and not stands_in
    return Row(
        site=site.name,
        hosts=site.hosts,
        source=site.source,
        issuer=facts.issuer if facts else "",
        sha256=facts.sha256 if facts else "",
        not_after=facts.not_after if facts else None,
        renew_at=renew_at(facts, record) if facts and record and renewed else None,
        next_try=record.next_try if record is not None and record.failures else None,
        stands_in=stands_in,
        problem=problem,
        hint=hint,
    )


def _problems(site: Site, served: ServedCertificate, now: float) -> Iterator[tuple[str, str]]:
    """What is wrong with a certificate, the worst first, and what to do."""
    facts = facts_at(served.certificate)
    if facts is None:
        yield f"{served.certificate} cannot be read", "nginx goes on with what it has read before."
        return
    yield from refusals(site, facts, now)
    if site.source == "files" and facts.not_after - now < _SOON_S:
        yield "it expires soon", _renew(site)
    if not facts.chained:
        yield (
            "the certificate of its issuer is missing in the file: some clients refuse it",
            "Use the file with the whole chain (fullchain.pem).",
        )


def refusals(site: Site, facts: Facts, now: float) -> Iterator[tuple[str, str]]:
    """Why clients refuse a certificate, whoever has signed it, and what to do."""
    if now >= facts.not_after:
        yield "it has expired: clients refuse it", _renew(site)
    if now < facts.not_before:
        yield (
            f"it is not valid before {date(facts.not_before)}: clients refuse it until then",
            "Put the one before it in its place until then; or this machine's clock is wrong.",
        )
    others = [host for host in site.hosts if not facts.covers(host)]
    if site.source == "acme":
        others = [host for host in others if not is_ip(host)]
    if others:
        yield (
            f"it is not for {', '.join(others)}: clients that ask for it refuse it",
            "Get one for all of the names, or give them their own under tls.hosts.",
        )


def _renew(site: Site) -> str:
    if site.source == "files":
        return "Put a new one in its place: it is taken over within seconds."
    return "`infergate cert renew` tries it now and says what is in the way."
