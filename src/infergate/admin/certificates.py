"""The certificates of https listeners and their authority."""

from __future__ import annotations

import time

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, Request, operation
from infergate.certificates.issue import ask, issue
from infergate.certificates.overview import ca_sha256, overview
from infergate.certificates.report import Row
from infergate.certificates.served import served_certificates
from infergate.certificates.sites import Site, sites
from infergate.certificates.watch import due_sites
from infergate.config.tls import LETS_ENCRYPT, LETS_ENCRYPT_STAGING, Acme
from infergate.engine.choose import choose_engine
from infergate.errors import InfergateError, NotRunning, NotThere, UserError
from infergate.live.apply import apply_again
from infergate.live.revisions import load_applied
from infergate.state.in_force import bring_into_force
from infergate.store.revisions import note_revision
from infergate.supervise.instance import running


class CertificateList(Document):
    """Each certificate, the API's first. ca_sha256: of the CA of those made here."""

    items: list[Row]
    ca_sha256: str | None


class Authority(Document):
    """The CA of the certificates made here, as PEM."""

    pem: str


class CertificateWanted(Request):
    """Which certificates are asked for."""

    hosts: list[str] = Field([], max_length=100, description="Only of these; all, if empty.")
    everything: bool = Field(False, description="Those that are not due, too.")
    dry_run: bool = Field(False, description="Go through all of it and keep nothing.")
    staging: bool = Field(False, description="A dry run at Let's Encrypt's staging.")


class CertificateAsked(Document):
    """One certificate that was asked for."""

    hosts: list[str]
    authority: str
    issuer: str | None = Field(None, description="null if none was issued, or kept.")
    not_after: float | None = Field(None, description="Unix seconds.")
    problem: str | None = Field(None, description="Why none was issued.")
    where: str | None = None
    hint: str | None = Field(None, description="What to do about it.")


class Issued(Document):
    """All that were asked for. revision: that serves the new ones; null if there is none."""

    items: list[CertificateAsked]
    revision: int | None


@operation("GET", "/certificates")
def list_certificates(gateway: Gateway) -> CertificateList:
    """Each certificate: its hosts, issuer, end and problems."""
    loaded, home = gateway.loaded, gateway.home
    _need_tls(gateway)
    rows = overview(loaded, home, served_certificates(loaded, home), time.time())
    return CertificateList(items=list(rows), ca_sha256=ca_sha256(home))


@operation("GET", "/certificates:ca")
def show_ca(gateway: Gateway) -> Authority:
    """The CA of the certificates made here, for clients that should trust them."""
    _need_tls(gateway)
    served_certificates(gateway.loaded, gateway.home)
    if not gateway.home.ca.exists():
        raise NotThere("no certificate was made here", where=str(gateway.declared.path))
    return Authority(pem=gateway.home.ca.read_text())


@operation("POST", "/certificates:issue")
def issue_certificates(gateway: Gateway, body: CertificateWanted = CertificateWanted()) -> Issued:  # noqa: B008
    """Get the certificates that are missing or due, or others. One that is not issued keeps no
    other from it."""
    home, folder = gateway.home, gateway.declared.path.parent
    acme = _acme(gateway, staging=body.staging)
    trial = body.dry_run or body.staging
    asked: list[CertificateAsked] = []
    for site in _wanted(gateway, acme, body, trial=trial):
        hosts = list(site.names)
        if gateway.said is not None:
            gateway.said(f"{', '.join(hosts)}: asking {acme.asked}")
        one = CertificateAsked(hosts=hosts, authority=acme.asked)
        try:
            if trial:
                ask(site, acme, folder, home)
            else:
                facts = issue(site, acme, folder, home)
                one = one.model_copy(update={"issuer": facts.issuer, "not_after": facts.not_after})
        except InfergateError as problem:
            told = {"problem": problem.what, "where": problem.where, "hint": problem.hint}
            one = one.model_copy(update=told)
        asked.append(one)
    new = any(each.issuer is not None for each in asked)
    return Issued(items=asked, revision=_take_over(gateway) if new else None)


def _wanted(gateway: Gateway, acme: Acme, body: CertificateWanted, *, trial: bool) -> list[Site]:
    found = _sites(gateway, body.hosts)
    if acme.challenge == "http-01" and running(gateway.home).nginx is None:
        raise NotRunning(
            "the gateway is not running: nobody would answer the authority's challenge",
            where=str(gateway.home.root),
            hint="`infergate up` starts it, and gets certificates by itself.",
        )
    if body.everything or body.hosts or trial:
        return found
    due = {site.name for site, _ in due_sites(gateway.loaded, gateway.home, time.time())}
    return [site for site in found if site.name in due]


def _take_over(gateway: Gateway) -> int | None:
    """Have nginx serve what was issued, with the configuration that is active; its revision."""
    home = gateway.home
    if running(home).nginx is None:
        return None
    now = bring_into_force(load_applied(home, gateway.declared.path), home)
    revision = apply_again(now, home, choose_engine(now.config.engine, home.root).engine)
    note_revision(gateway.database, revision.number, now, why="certificates changed")
    return revision.number


def _need_tls(gateway: Gateway) -> None:
    if gateway.loaded.config.tls is None:
        raise NotThere(
            "there is no tls: section, so there are no certificates",
            where=str(gateway.declared.path),
            hint="tls: { self_signed: true } and listen: { https: 8443 } is the shortest.",
        )


def _acme(gateway: Gateway, *, staging: bool) -> Acme:
    _need_tls(gateway)
    tls = gateway.loaded.config.tls
    acme = tls.acme if tls else None
    if acme is None:
        raise NotThere(
            "certificates are not from an ACME authority here",
            where=str(gateway.declared.path),
            hint="tls: { acme: { email: … } } asks Let's Encrypt.",
        )
    if not staging:
        return acme
    if acme.directory != LETS_ENCRYPT:
        raise UserError("--staging is Let's Encrypt's", hint="Use --dry-run.")
    return acme.model_copy(update={"directory": LETS_ENCRYPT_STAGING})


def _sites(gateway: Gateway, hosts: list[str]) -> list[Site]:
    """The sites with these hosts, all without; only those of the authority."""
    every = [site for site in sites(gateway.loaded.config) if site.source == "acme"]
    for host in hosts:
        if not any(host.lower() in site.names for site in every):
            known = ", ".join(name for site in every for name in site.names)
            raise NotThere(
                f"no certificate of the authority is for {host!r}", hint=f"There are: {known}"
            )
    chosen = {host.lower() for host in hosts}
    return [site for site in every if not hosts or chosen & set(site.names)]
