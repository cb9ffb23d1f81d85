"""cert list, issue, renew, ca: the certificates and their authority."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, load
from infergate.errors import InfergateError, NotRunning, UserError

if TYPE_CHECKING:
    from infergate.certificates.sites import Site
    from infergate.config.load import LoadedConfig
    from infergate.config.tls import Acme
    from infergate.paths import Home

app = typer.Typer(help="The certificates of https listeners.", no_args_is_help=True)

_HostsArgument = Annotated[
    list[str] | None, typer.Argument(help="Only for these hosts.", show_default=False)
]
_DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Go through all of it and keep nothing.")
]
_StagingOption = Annotated[
    bool, typer.Option("--staging", help="A dry run at Let's Encrypt's staging.")
]


@app.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show each certificate: its hosts, issuer, end and problems."""
    from infergate.certificates.overview import overview
    from infergate.certificates.served import served_certificates
    from infergate.cli.certificate_rows import print_certificates

    loaded, home = load(config, quiet=True)
    _need_tls(loaded)
    rows = overview(loaded, home, served_certificates(loaded, home), time.time())
    if json_:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
    else:
        print_certificates(rows, home)


@app.command()
def issue(
    hosts: _HostsArgument = None,
    dry_run: _DryRunOption = False,
    staging: _StagingOption = False,
    config: ConfigOption = None,
) -> None:
    """Get the certificates that are missing or due, now."""
    _fetch(hosts or [], config, everything=False, trial=dry_run or staging, staging=staging)


@app.command()
def renew(
    hosts: _HostsArgument = None,
    dry_run: _DryRunOption = False,
    staging: _StagingOption = False,
    config: ConfigOption = None,
) -> None:
    """Get new certificates, due or not: of the hosts named, else of all."""
    _fetch(hosts or [], config, everything=True, trial=dry_run or staging, staging=staging)


@app.command()
def ca(config: ConfigOption = None) -> None:
    """Print the CA of the certificates made here.

    For clients that shall trust them.
    """
    from infergate.certificates.served import served_certificates

    loaded, home = load(config, quiet=True)
    _need_tls(loaded)
    served_certificates(loaded, home)
    if not home.ca.exists():
        raise UserError("no certificate was made here", where=str(loaded.path))
    print(home.ca.read_text(), end="")


def _fetch(
    hosts: list[str], config: ConfigOption, *, everything: bool, trial: bool, staging: bool
) -> None:
    from infergate.certificates.issue import ask, issue
    from infergate.certificates.watch import due_sites
    from infergate.supervise.instance import running

    loaded, home = load(config, quiet=True)
    acme = _acme(loaded, staging=staging)
    wanted = _sites(loaded, hosts)
    if acme.challenge == "http-01" and running(home).nginx is None:
        raise NotRunning(
            "the gateway is not running: nobody would answer the authority's challenge",
            where=str(home.root),
            hint="`infergate up` starts it, and gets certificates by itself.",
        )
    if not everything and not hosts:
        due = {site.name for site, _ in due_sites(loaded, home, time.time())}
        wanted = [site for site in wanted if trial or site.name in due]
    problems: list[InfergateError] = []
    for site in wanted:
        print(f"{', '.join(site.names)}: asking {acme.asked}", flush=True)
        try:
            if trial:
                ask(site, acme, loaded.path.parent, home)
                print("  would be issued; nothing was kept.")
            else:
                facts = issue(site, acme, loaded.path.parent, home)
                print(f"  issued by {facts.issuer}, {_days(facts.not_after)}.")
        except InfergateError as problem:
            problems.append(problem)
            print(f"  not issued: {problem.what}")
    if not wanted:
        print("Nothing is due. `infergate cert renew` gets new ones all the same.")
    if not trial and len(wanted) > len(problems):
        _take_over(loaded, home)
    if problems:
        raise problems[0]


def _take_over(loaded: LoadedConfig, home: Home) -> None:
    """Have nginx serve what was issued, with the configuration that is in force."""
    from infergate.nginx.apply import apply_again
    from infergate.nginx.engine import choose_engine
    from infergate.nginx.revisions import load_applied
    from infergate.state.in_force import bring_into_force
    from infergate.store.database import database_for
    from infergate.store.revisions import note_revision
    from infergate.supervise.instance import running

    if running(home).nginx is None:
        return
    now = bring_into_force(load_applied(home, loaded.path), home)
    revision = apply_again(now, home, choose_engine(now.config.engine, home.root).engine)
    note_revision(database_for(now.config, home), revision.number, now, why="certificates changed")
    print(f"Revision {revision.number} serves it; open streams go on.")


def _need_tls(loaded: LoadedConfig) -> None:
    if loaded.config.tls is None:
        raise UserError(
            "there is no tls: section, so there are no certificates",
            where=str(loaded.path),
            hint="tls: { self_signed: true } and listen: { https: 8443 } is the shortest.",
        )


def _acme(loaded: LoadedConfig, *, staging: bool) -> Acme:
    from infergate.config.tls import LETS_ENCRYPT, LETS_ENCRYPT_STAGING

    _need_tls(loaded)
    acme = loaded.config.tls.acme if loaded.config.tls else None
    if acme is None:
        raise UserError(
            "certificates are not from an ACME authority here",
            where=str(loaded.path),
            hint="tls: { acme: { email: … } } asks Let's Encrypt.",
        )
    if not staging:
        return acme
    if acme.directory != LETS_ENCRYPT:
        raise UserError("--staging is Let's Encrypt's", hint="Use --dry-run.")
    return acme.model_copy(update={"directory": LETS_ENCRYPT_STAGING})


def _sites(loaded: LoadedConfig, hosts: list[str]) -> list[Site]:
    """The sites with these hosts, all without; only those of the authority."""
    from infergate.certificates.sites import sites

    every = [site for site in sites(loaded.config) if site.source == "acme"]
    for host in hosts:
        if not any(host.lower() in site.names for site in every):
            known = ", ".join(name for site in every for name in site.names)
            raise UserError(
                f"no certificate of the authority is for {host!r}", hint=f"There are: {known}"
            )
    chosen = {host.lower() for host in hosts}
    return [site for site in every if not hosts or chosen & set(site.names)]


def _days(not_after: float) -> str:
    left_s = not_after - time.time()
    return f"valid for {left_s / 86400:.0f} days" if left_s > 86400 else f"for {left_s:.0f} s"
