"""Which configurations were active, and the way back to one of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from infergate.changes.applied import Applied
from infergate.changes.apply import Said, apply
from infergate.config.load import LoadedConfig
from infergate.errors import Conflict
from infergate.live.revisions import Revision, current, load_revision, revision, revisions
from infergate.paths import Home
from infergate.store.database import Database
from infergate.store.revisions import applied_revisions


@dataclass(frozen=True)
class Past:
    """A moment at which a configuration took effect.

    at: Unix seconds. who: user@host. node: the gateway's machine. revision: its number there.
    sha256: of the YAML. here: it was this gateway, and not another that shares the database.
    kept: `rollback` and `diff` can still have it. in_force: it is active here.
    of: the revision whose YAML it brought back. failed: why it was rolled back.
    """

    at: int
    who: str
    node: str
    revision: int
    source: str
    sha256: str
    here: bool
    kept: bool
    in_force: bool
    of: int | None
    failed: str | None


def history(loaded: LoadedConfig, home: Home, database: Database, *, last: int) -> tuple[Past, ...]:
    """The last changes, oldest first. Raises StateError if the database cannot be read."""
    on_disk = {each.number: each for each in revisions(home)}
    now, node = current(home), socket.gethostname()
    found: list[Past] = []
    for each in applied_revisions(database, last=last):
        here = each.node == node and each.source == str(loaded.path)
        kept = on_disk.get(each.revision) if here else None
        found.append(
            Past(
                each.at,
                each.who,
                each.node,
                each.revision,
                each.source,
                each.sha256,
                here,
                kept=kept is not None,
                in_force=kept is not None and now is not None and kept.number == now.number,
                of=kept.of if kept else None,
                failed=kept.failed if kept else None,
            )
        )
    return tuple(found)


def earlier(home: Home, back: int) -> Revision:
    """The revision that was active so many changes ago.

    Those that were rolled back do not count, nor do restarts, which activate the same YAML
    again. After a rollback it is counted from where that led: a second one goes further back.
    Raises Conflict if so many are not kept.
    """
    found = list(_ways_back(home))
    if len(found) < back:
        raise Conflict(
            f"{len(found)} earlier configurations are kept, not {back}",
            hint="`infergate history` shows them.",
        )
    return found[back - 1]


def _ways_back(home: Home) -> Iterator[Revision]:
    now = current(home)
    if now is None:
        return
    from_number, text = now.of or now.number, now.text
    for each in reversed(revisions(home)):
        if each.number < from_number and each.failed is None and each.text != text:
            text = each.text
            yield each


def rollback(
    loaded: LoadedConfig,
    home: Home,
    *,
    back: int = 1,
    to: int | None = None,
    said: Said | None = None,
) -> Applied:
    """Activate an earlier configuration again, as a new revision.

    loaded: of the YAML file, which stays as it is. back: how many changes ago. to: a revision
    instead. Its YAML is rendered anew, linted, tested and tried as any other; backends are not
    asked and nothing is watched, because what it is meant to end may be worse.
    Raises what apply does, and NotThere for a revision that is not kept.
    """
    target = revision(home, to) if to is not None else earlier(home, back)
    again = load_revision(target, loaded.path)
    return apply(again, home, window_s=None, of=target.of or target.number, said=said)
