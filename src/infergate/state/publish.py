"""Compile, write the snapshot, push: how a change reaches nginx without a reload.

The snapshot is written first. If the push fails because nginx is not running, nginx loads the
snapshot when it starts; so a change that was accepted is never lost. If the disk takes no snapshot,
the push is made all the same: a key that was revoked must not go on because a disk is full.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infergate.config.load import LoadedConfig
from infergate.contract.live import Against
from infergate.errors import Outdated, StateError
from infergate.files import locked, replace_or_overwrite
from infergate.live.shared_memory import NginxNotThere, push, read
from infergate.paths import Home
from infergate.state.budgets import Budgeted, used_up
from infergate.state.in_force import is_active, is_newest
from infergate.state.keys import ValidKey, compile_keys, valid_keys
from infergate.state.keys_file import FileKey, note_keys_file, read_keys_file
from infergate.state.policy import name_in
from infergate.state.routes import Routes
from infergate.state_file import read_state
from infergate.store.audit import newest
from infergate.store.database import Database
from infergate.store.drained import drain as keep_drained
from infergate.store.drained import drained_backends, undrain
from infergate.store.keys import StoredKey, all_keys
from infergate.store.lost import note_store
from infergate.store.policies import all_policies
from infergate.store.teams import all_teams
from infergate.store.usage import rename_usage

_BY_LINE = re.compile(r".+:\d+")
"""A key's name by its file and line, as it was until 0.1; no name of now has a colon."""


def publish_keys(
    home: Home, loaded: LoadedConfig, database: Database, *, if_active: bool = False
) -> int:
    """Make exactly the keys valid that are so now, without those whose budget is used up; returns
    how many.

    if_active: raise Outdated where the active revision is another one, whose keys hold then.
    Raises StateError if the database cannot be read; the keys hold as they are then. MemoryFull if
    nginx has no room for all, StateError if the disk takes no snapshot: what is no longer valid is
    refused all the same then.
    """
    with locked(home.state / "keys.lock"):  # its own: the database may take its time
        if if_active and not is_active(loaded, home):
            raise Outdated("another configuration took effect meanwhile", where=str(home.current))
        found = read_keys_file(loaded, home)
        _name_as_now(home, found.keys, database)
        stored = all_keys(database)
        keys = _valid(loaded, database, stored, found.keys)
        budgeted = _budgeted(keys, stored)
        blocks = used_up(database, budgeted, all_teams(database), time.time())
        compiled = compile_keys(loaded.config.auth, keys, blocks)
        _publish(home, home.keys_snapshot, {"keys": _exactly(compiled)})
        note_keys_file(home, loaded, found)
        note_store(home, database.where, newest(database))
    return len(compiled)


def end_keys(home: Home, hashes: Iterable[str]) -> bool:
    """Refuse these keys from the next request on, whatever else can be published; whether nginx
    took it. publish_keys is due then. Raises StateError if nginx runs and does not take it."""
    try:
        push(home.socket, {"keys": {"delete": list(hashes)}})
    except NginxNotThere:
        return False
    return True


def _name_as_now(home: Home, keys: Iterable[FileKey], database: Database) -> None:
    """Usage of keys that an earlier version named by their line is theirs by their name of now."""
    known: dict[str, str] = read_state(home.keys_snapshot, lambda said: said["keys"]["set"]) or {}
    for key in keys:
        before = name_in(known.get(key.hash, ""))
        if _BY_LINE.fullmatch(before):
            with contextlib.suppress(StateError):  # a disk that is full must not hold up a key
                rename_usage(database, before, key.name)


def budgeted_keys(loaded: LoadedConfig, database: Database) -> set[Budgeted]:
    """The keys that have a budget or a team, the revoked ones of teams too."""
    stored = all_keys(database)
    return _budgeted(_valid(loaded, database, stored, ()), stored)  # those of the file have none


def _valid(
    loaded: LoadedConfig,
    database: Database,
    stored: Iterable[StoredKey],
    from_file: Iterable[FileKey],
) -> dict[str, ValidKey]:
    return valid_keys(loaded.config.auth, stored, all_policies(database), from_file)


def _budgeted(keys: Mapping[str, ValidKey], stored: Iterable[StoredKey]) -> set[Budgeted]:
    valid = {
        Budgeted(key.name, tuple(key.allowed.budget), key.team, key.since)
        for key in keys.values()
        if key.allowed.budget or key.team
    }
    gone = {
        Budgeted(key.name, team=key.team, valid=False)
        for key in stored
        if key.revoked_at and key.team
    }
    return valid | gone


def publish_routes(home: Home, routes: Routes, of: LoadedConfig) -> None:
    """Route by exactly these routes.

    of: what they were compiled from. Several processes do this, each with what it knows, and a
    slow one must not undo what a later one has done: raises Outdated where something else holds by
    now, which is then the caller's to publish. Else what publish_keys raises.
    """
    with locked(home.state / "publish.lock"):
        if not is_newest(of, home):
            raise Outdated("another configuration took effect meanwhile", where=str(home.current))
        document = {"routes": _exactly(routes.routes), "catalog": _exactly(routes.catalog)}
        _publish(home, home.routes_snapshot, document)


def publish_conditions(home: Home, down: Iterable[str]) -> None:
    """Say which backends are down; those that are drained stay so.

    Asks no database: one that is away must not hold up that a backend is down.
    """
    with locked(home.state / "publish.lock"):
        known = _conditions(home)
        drained = [name for name, condition in known.items() if condition == Against.DRAINED]
        _publish_conditions(
            home, dict.fromkeys(down, Against.DOWN) | dict.fromkeys(drained, Against.DRAINED)
        )


def publish_drained(home: Home, database: Database) -> None:
    """Drain exactly the backends that the database says. publish_conditions is due then: of one
    that is taken back in, this does not know whether it is down."""
    with locked(home.state / "publish.lock"):
        drained = drained_backends(database)
        known = _conditions(home)
        down = [name for name, condition in known.items() if condition == Against.DOWN]
        _publish_conditions(
            home, dict.fromkeys(down, Against.DOWN) | dict.fromkeys(drained, Against.DRAINED)
        )


def drain(home: Home, database: Database, backend: str, *, drained: bool) -> None:
    """Take a backend out of service, or back in, from the next request on."""
    drained_backends(database)  # a database that is away must not be waited for under the lock
    with locked(home.state / "publish.lock"):
        (keep_drained if drained else undrain)(database, backend)
        known = _conditions(home)
        conditions = (
            {**known, backend: Against.DRAINED}
            if drained
            else {name: condition for name, condition in known.items() if name != backend}
        )
        _publish_conditions(home, conditions)


def _conditions(home: Home) -> dict[str, str]:
    known: dict[str, str] | None = read_state(
        home.conditions_snapshot, lambda said: dict(said["backends"]["set"])
    )
    if known is None:  # then nginx knows best what was drained
        try:
            known = dict(read(home.socket).conditions)
        except StateError:
            known = {}
    return {name: each for name, each in known.items() if each in (Against.DOWN, Against.DRAINED)}


def _publish_conditions(home: Home, conditions: Mapping[str, str]) -> None:
    _publish(home, home.conditions_snapshot, {"backends": _exactly(conditions)})


def _exactly(entries: Mapping[str, str]) -> dict[str, Any]:
    return {"replace": True, "set": dict(entries)}


def _publish(home: Home, snapshot: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False)
    not_kept = None
    try:
        replace_or_overwrite(snapshot, text, mode=0o640)
    except StateError as problem:
        not_kept = problem
    with contextlib.suppress(NginxNotThere):
        push(home.socket, document)
    if not_kept is not None:
        raise not_kept
