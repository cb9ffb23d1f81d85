"""Brings a change that somebody began and did not end to its end (live/unfinished.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.control.follow import follow
from infergate.control.newest import publish_newest
from infergate.control.report import read_inventories
from infergate.errors import NotThere
from infergate.files import locked, locked_now
from infergate.health.inventory import Inventory
from infergate.live.apply import apply_lock, change_lock
from infergate.live.reload import put_in_force
from infergate.live.revisions import forget_old, load_revision, revision
from infergate.live.unfinished import finish, read_unfinished
from infergate.log import log
from infergate.paths import Home
from infergate.state.in_force import bring_into_force
from infergate.state.publish import publish_keys
from infergate.store.database import Database, database_for
from infergate.store.revisions import note_revision


def settle_abandoned(home: Home, path: Path) -> bool:
    """Settle what nobody works at any more; whether there was something. path: the configuration.

    Raises ApplyError if nginx does not come up with it, StateError if it cannot be published.
    """
    if read_unfinished(home) is None:
        return False
    with locked_now(change_lock(home)) as mine:
        return mine and settle(home, path)


def settle(home: Home, path: Path) -> bool:
    """The same for whoever holds the lock of changes."""
    with locked(apply_lock(home)):
        unfinished = read_unfinished(home)
        if unfinished is None:
            return False
        try:
            goal = revision(home, unfinished.goal)
        except NotThere:  # nothing to go back to: what is there counts
            finish(home)
            return False
        put_in_force(home, goal, reload=unfinished.reload)
    declared = load_revision(goal, path)
    loaded = bring_into_force(declared, home)
    database = database_for(loaded.config, home)
    publish_all(home, loaded, database, lambda: follow(declared, home, database))
    why = "a change was not finished by whoever began it"
    note_revision(database, goal.number, loaded, why=why, back=True)
    finish(home)
    forget_old(home)
    log.warning("a change that nobody finished is settled", revision=goal.number)
    return True


def publish_all(
    home: Home,
    loaded: LoadedConfig,
    database: Database,
    again: Callable[[], LoadedConfig],
    asked: Mapping[str, Inventory] | None = None,
) -> int:
    """Have nginx's memory be that of a configuration: routes and keys; how many keys.

    Routes first, because requests go by those of before until then. The control plane does it too,
    a moment later; then with backends it did not know.

    loaded: of the active revision. again: as publish_newest asks for it.
    asked: what backends have that the control plane does not know yet; else what somebody wrote
        down of it (report.note_asked).
    """
    if asked is None:
        asked = read_inventories(home.asked)
    loaded = publish_newest(home, loaded, {**read_inventories(home.health), **asked}, again)
    return publish_keys(home, loaded, database)
