"""What the gateway keeps: counting, its files, shared memory, certificates."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from infergate.certificates.overview import overview
from infergate.certificates.served import served_certificates
from infergate.config.load import LoadedConfig
from infergate.control.report import read_report
from infergate.errors import StateError
from infergate.hardening.check import Check, Severity, bad, good
from infergate.ledger.status import read_status
from infergate.live.revisions import current
from infergate.live.shared_memory import read
from infergate.loops import read_failing
from infergate.nginx.zones import MB
from infergate.paths import Home
from infergate.state_file import set_aside
from infergate.supervise.instance import running

_SILENT_S = 60.0


def check_state(declared: LoadedConfig, home: Home) -> Iterator[Check]:
    """Who owns the state folder's files, which are damaged, and what does not fit together."""
    yield from _owners(home)
    for folder in (home.state, home.run, *home.revisions.glob("*")):
        for path in set_aside(folder):
            cure = f"Read it if it matters, then: rm '{path}'"
            yield bad("state.damaged", "low", f"a state file was damaged: {path}", cure)
    if running(home).control is not None:
        for each in read_failing(home.loops):
            what = f"the control plane fails at {each.loop}: {each.problem}"
            yield bad("control", "medium", what, "logs/gateway.log has more; it is tried again.")
    report = read_report(home.health)
    for said in report.conflicts if report else ():
        yield bad("models", "low", said, "`infergate backend list` shows where each comes from.")
    now = current(home)
    if now is not None and now.text != declared.text:
        yield bad(
            "config.in_force",
            "low",
            f"{declared.path.name} is not what is active",
            "`infergate plan` shows what `infergate apply` would change.",
        )


def _owners(home: Home) -> Iterator[Check]:
    """Files that are another user's, since somebody ran a command as root; root itself has workers
    of another user, whose files are theirs."""
    me = os.geteuid()
    if me == 0 or not home.root.exists():
        return
    others = [each for each in _kept(home) if each.lstat().st_uid != me]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        yield bad(
            "state.owner",
            "high",
            f"{others[0]}{more} belong to another user",
            f"sudo chown -R {me}:{os.getegid()} '{home.root}'",
        )
    unwritable = next((each for each in _folders(home) if not os.access(each, os.W_OK)), None)
    if unwritable is not None:
        what = f"the gateway may not write into {unwritable}"
        yield bad("state.writable", "high", what, f"chmod u+rwx '{unwritable}'")
    elif not others:
        yield good("state.owner", "high", "the state folder is ours and can be written")


def _folders(home: Home) -> Iterator[Path]:
    folders = (home.root, home.state, home.run, home.logs, home.revisions, home.tls)
    return (each for each in folders if each.is_dir())


def _kept(home: Home) -> Iterator[Path]:
    for folder in _folders(home):
        yield folder
        if os.access(folder, os.R_OK | os.X_OK):
            yield from folder.iterdir()


def check_ledger(home: Home) -> Iterator[Check]:
    """Whether requests are counted; nothing where the gateway never ran."""
    status = read_status(home.ledger)
    if status is None or running(home).control is None:
        return  # check_processes says that nothing is counted
    silent_s = time.time() - status.at
    if status.problem:
        what = f"the ledger has stopped, no request is lost: {status.problem}"
        yield bad("ledger", "medium", what, status.hint or "logs/gateway.log has more.")
    elif silent_s > _SILENT_S:
        what = f"nothing was heard of the ledger for {silent_s:,.0f} s"
        yield bad("ledger", "medium", what, "logs/gateway.log says why.")
    else:
        yield good("ledger", "medium", "requests are counted")


def check_zones(home: Home) -> Iterator[Check]:
    """How full nginx's shared memory is; nothing where nginx does not run."""
    if running(home).nginx is None:
        return
    try:
        zones = read(home.socket).zones
    except StateError as problem:
        cure = "logs/error.log says what nginx met; `infergate down` and `up` start it anew."
        yield bad("memory", "high", f"nginx does not say its state: {problem.what}", cure)
        return
    for fill in zones:
        if fill.is_short:
            what = f"{fill.zone} is {fill.used:.0%} full of {fill.bytes // MB} MB"
            cure = "`infergate apply` makes it as large as keys, models and backends need."
            yield bad(f"memory.{fill.zone}", "medium", what.replace("%", " %"), cure)
    if not any(fill.is_short for fill in zones):
        used = (f"{fill.zone} {fill.used:.0%} of {fill.bytes // MB} MB" for fill in zones)
        yield good("memory", "medium", f"shared memory: {', '.join(used)}".replace("%", " %"))


def check_certificates(loaded: LoadedConfig, home: Home) -> Iterator[Check]:
    """Each TLS site; nothing without TLS."""
    if loaded.config.tls is None:
        return
    now = time.time()
    for row in overview(loaded, home, served_certificates(loaded, home), now):
        hosts = ", ".join(row.hosts) or "any host"
        name = f"certificate.{row.site}"
        if row.problem:
            expired = row.not_after is not None and row.not_after <= now
            cure = row.hint or "`infergate cert renew` tries it now and says what is in the way."
            severity: Severity = "high" if expired else "medium"
            yield bad(name, severity, f"the certificate of {hosts}: {row.problem}", cure)
        elif row.not_after is not None:
            days = (row.not_after - now) / 86400
            said = f"the certificate of {hosts} ({row.source}) is valid for {days:.0f} days more"
            yield good(name, "high", said)
