"""How counting stands, in words: for `infergate status` and `infergate doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from infergate.ledger.status import LedgerStatus

COUNTING = "requests are counted."

_SILENT_S = 15.0
_BEHIND_BYTES = 16 * 1024 * 1024


def ledger_in_words(status: LedgerStatus, now: float, *, alive: bool) -> Iterator[str]:
    """Sentences. alive: whether the control plane runs, whose part the ledger is."""
    behind = f"{status.behind_bytes / 1024**2:,.1f} MB of the access log"
    if not alive:
        yield "the control plane does not run: nothing is counted until it does; nothing is lost."
    elif now - status.at > _SILENT_S:
        yield f"nothing was heard of the ledger for {ago(now - status.at)}; see the gateway's log."
    elif status.problem:
        yield f"the ledger has stopped {ago(now - status.since)} ago; {behind} wait, none is lost."
        yield status.problem
        if status.hint:
            yield status.hint
    elif status.behind_bytes > _BEHIND_BYTES:
        yield f"the ledger is catching up: {behind} wait to be counted."
    else:
        yield COUNTING
    if status.unreadable:
        yield f"{status.unreadable:,} lines of the access log were no requests; they do not count."
    if status.killed_workers:
        workers = "a worker" if status.killed_workers == 1 else f"{status.killed_workers:,} workers"
        yield f"{workers} of nginx died; of the last 0.1 s of each, requests may not be counted."


def ago(seconds: float) -> str:
    """A length of time in its two largest units: "3 s", "2 min 5 s", "4 h 0 min"."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
