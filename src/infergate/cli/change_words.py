"""Plans, changes and history in words, for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infergate.cli.ledger import ago
from infergate.cli.options import counted
from infergate.cli.rows import print_rows
from infergate.live.revisions import current

if TYPE_CHECKING:
    from infergate.changes.applied import Applied
    from infergate.changes.history import Past
    from infergate.changes.plan import Plan
    from infergate.live.drain import Drain
    from infergate.paths import Home

_WIDTH = 80
_MOST_FILES = 8


def plan_in_words(plan: Plan, name: str) -> Iterator[str]:
    """What would change, and what runs now. name: the file's."""
    if plan.revision is None:
        yield f"Nothing is active yet; `infergate up` starts {name}."
        return
    if plan.kind == "nothing":
        yield f"{name} is already active (revision {plan.revision})."
    else:
        yield f"{name} against revision {plan.revision}, which is active:"
        yield from _settings(plan)
        yield from _files(plan)
    if plan.open_requests:
        open_ = ", ".join(f"{count} on {name}" for name, count in plan.open_requests.items())
        yield f"Open now: {open_}. None of them is cut."
    yield from drain_in_words(plan.left)


def _settings(plan: Plan) -> Iterator[str]:
    if not plan.settings:
        yield "  no setting differs"
    for each in plan.settings:
        before, after = each.before, each.after
        if before is None:
            text = f"+ {each.path}: {after}"
        elif after is None:
            text = f"- {each.path}: {before}"
        else:
            text = f"~ {each.path}: {before} → {after}"
        yield from textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="      ")


def _files(plan: Plan) -> Iterator[str]:
    if plan.kind == "state":
        yield "State only: nginx is not reloaded."
        return
    named = ", ".join(plan.files[:_MOST_FILES])
    more = f" and {len(plan.files) - _MOST_FILES} more" if len(plan.files) > _MOST_FILES else ""
    yield from textwrap.wrap(f"nginx is reloaded, because of {named}{more}.", _WIDTH)


def drain_in_words(drain: Drain) -> Iterator[str]:
    """ "3 streams left on the old workers, oldest 41 s"."""
    if drain.streams:
        yield (
            f"{counted(drain.streams, 'stream')} left on the old workers, oldest "
            f"{ago(drain.oldest_s)}; cut in {ago(drain.left_s)} at the latest."
        )


def applied_in_words(applied: Applied) -> Iterator[str]:
    """What came of an apply."""
    took_s = applied.took_s
    for warning in applied.warnings:
        yield f"warning: {warning}"
    if applied.plan.kind == "nothing":
        yield f"Revision {applied.revision} is already active; nothing changed."
    else:
        how = "nginx was reloaded" if applied.plan.kind == "reload" else "without a reload"
        keys = counted(applied.keys, "key")
        yield f"Revision {applied.revision} is active ({how}; {keys})."
        steps = ", ".join(f"{name} {s:.1f} s" for name, s in took_s.items() if s >= 0.05)
        yield from textwrap.wrap(f"It took: {steps}.", _WIDTH)
    if "watch" in took_s:
        after = applied.after
        yield (
            f"Watched {ago(took_s['watch'])}: {counted(after.total, 'request')}, "
            f"{after.errors} failed with 5xx."
        )
    yield from drain_in_words(applied.drain)


def file_and_force(path: Path, home: Home) -> Iterator[str]:
    """Where the file is not what is active: that it is so, and what to do."""
    now = current(home)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = None
    if now is not None and text != now.text:
        yield f"{path.name} is not what is active; `infergate diff` shows the difference."
        yield "To apply it: infergate apply. To have the file as what is active:"
        yield f"  cp '{home.current}/infergate.yaml' '{path}'"


def print_history(found: Sequence[Past]) -> None:
    """A row for each moment at which a configuration took effect, the newest last."""
    head = ["REVISION", "SINCE", "WHO", "YAML", ""]
    rows = []
    for at, each in enumerate(found):
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.at))
        last = not any(later.revision == each.revision and later.here for later in found[at + 1 :])
        rows.append([str(each.revision), clock, each.who, each.sha256[:8], _remark(each, last)])
    if rows:
        print_rows(head, rows)
    for number, why in {each.revision: each.failed for each in found if each.failed}.items():
        text = f"Revision {number} was rolled back: {why}."
        print(textwrap.fill(text, _WIDTH, subsequent_indent="  "))


def _remark(past: Past, is_last: bool) -> str:
    if not past.here:
        return f"at {past.node}: {past.source}"
    if past.failed:
        return "rolled back"
    said = [f"brought back {past.of}"] if past.of else []
    if past.in_force and is_last:
        said.append("active")
    elif not past.kept:
        said.append("no longer kept")
    return ", ".join(said)
