"""Tells a database that is gone, or an older copy of it, from one that is new.

`state/store.json` says how far the database was when keys were published last. An empty file in its
place knows none of the keys that nginx has; taken at its word, it would end them all.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from infergate.errors import StateError, StoreLost
from infergate.files import write_atomically
from infergate.paths import Home
from infergate.state_file import read_state

_VERSION = 1


def note_store(home: Home, where: str, newest: int) -> None:
    """Write down how far a database is; what cannot be written is so at the next change.

    newest: the number of its last change (store/audit.py).
    """
    noted = {"v": _VERSION, "where": where, "newest": newest}
    if read_state(home.store_note, dict) != noted:
        try:
            write_atomically(home.store_note, json.dumps(noted))
        except StateError:
            return


def refuse_lost(home: Home, where: str, newest: int | None) -> None:
    """Raises StoreLost if a database cannot be the one that this gateway had.

    newest: the number of its last change; None for one without tables.
    """
    known, own = read_state(home.store_note, _noted), where == str(home.store)
    if known is not None and known[0] != where:
        return  # `store:` names another one now
    if newest is None:
        if known is None and not (own and _keys(home)):
            return  # the first start
        what = "there is no database, but there was one"
    elif known is not None and newest < known[1] and own:
        what = f"is an older copy of the database: {known[1] - newest} later changes are missing"
    else:
        return
    raise StoreLost(what, where=where, hint=_what_is_there(home))


def _noted(said: dict[str, Any]) -> tuple[str, int]:
    return str(said["where"]), int(said["newest"])


def _keys(home: Home) -> int:
    found = read_state(home.keys_snapshot, lambda said: len(said["keys"]["set"]))
    return found or 0


def _what_is_there(home: Home) -> str:
    snapshot = home.keys_snapshot
    lines = ["Put it back as it was, with its -wal file if it has one."]
    if count := _keys(home):
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(snapshot.stat().st_mtime))
        lines.append(
            f"{snapshot} has the hashes of the {count} keys that were valid {at}: `infergate keys "
            "restore` makes them valid again. Budgets, usage and the audit log are not in it."
        )
    if copies := _copies(home.store):
        lines.append(f"Beside it lie: {', '.join(copies)}.")
    if home.revisions.is_dir():
        lines.append(f"The last configurations are in {home.revisions}.")
    lines.append(f"To start without any key, remove {home.store_note} and {snapshot}.")
    return "\n  ".join(lines)


def _copies(store: Path) -> list[str]:
    """Newest first."""
    ours = {store.name + end for end in ("", "-wal", "-shm")} | {store.with_suffix(".json").name}
    found = [path for path in store.parent.glob("*store*") if path.name not in ours]
    return [path.name for path in sorted(found, key=lambda each: -each.stat().st_mtime)][:5]
