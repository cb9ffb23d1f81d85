"""cert list, issue, renew, ca: the certificates and their authority."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.target import filled, target
from infergate.errors import InfergateError

if TYPE_CHECKING:
    from infergate.admin.certificates import CertificateAsked

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
    from infergate.admin.certificates import list_certificates
    from infergate.cli.certificate_rows import print_certificates

    found = target(config).run(list_certificates)
    if json_:
        print(json.dumps([dataclasses.asdict(row) for row in found.items]))
    else:
        print_certificates(found.items, found.ca_sha256)


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

    For clients that should trust them.
    """
    from infergate.admin.certificates import show_ca

    print(target(config).run(show_ca).pem, end="")


def _fetch(
    hosts: list[str], config: ConfigOption, *, everything: bool, trial: bool, staging: bool
) -> None:
    from infergate.admin.certificates import CertificateWanted, issue_certificates

    body = filled(
        CertificateWanted, hosts=hosts, everything=everything, dry_run=trial, staging=staging
    )
    told = functools.partial(print, flush=True)
    done = target(config, said=told).run(issue_certificates, body)
    for each in done.items:
        print(f"{', '.join(each.hosts)}: {_outcome(each)}")
    if not done.items:
        print("Nothing is due. `infergate cert renew` gets new ones all the same.")
    if done.revision is not None:
        print(f"Revision {done.revision} serves it; open streams go on.")
    for each in done.items:
        if each.problem is not None:
            raise InfergateError(each.problem, where=each.where, hint=each.hint)


def _outcome(asked: CertificateAsked) -> str:
    if asked.problem is not None:
        return f"not issued: {asked.problem}"
    if asked.issuer is None or asked.not_after is None:
        return "would be issued; nothing was kept."
    return f"issued by {asked.issuer}, {_days(asked.not_after)}."


def _days(not_after: float) -> str:
    left_s = not_after - time.time()
    return f"valid for {left_s / 86400:.0f} days" if left_s > 86400 else f"for {left_s:.0f} s"
