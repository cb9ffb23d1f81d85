"""Compile, write the snapshot, push: how a change reaches nginx without a reload.

The snapshot is written first. If the push fails because nginx is not running, nginx loads the
snapshot when it starts; so a change that was accepted is never lost. If the disk takes no snapshot,
the push is made all the same: a key that was revoked must not go on because a disk is full.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infergate.config.load import LoadedConfig
from infergate.errors import StateError
from infergate.files import locked, replace_or_overwrite
from infergate.nginx.shared_memory import NginxNotThere, push
from infergate.paths import Home
from infergate.state.budgets import Budgeted, used_up
from infergate.state.keys import FileKey, ValidKey, compile_keys, read_keys_file, valid_keys
from infergate.state.policy import Block
from infergate.state.routes import Routes
from infergate.store.database import Database
from infergate.store.drained import drain as keep_drained
from infergate.store.drained import drained_backends, undrain
from infergate.store.keys import StoredKey, all_keys
from infergate.store.policies import all_policies
from infergate.store.teams import all_teams


def keys_of_file(loaded: LoadedConfig) -> tuple[FileKey, ...]:
    """The keys of `auth.keys_file`; none if there is no such file yet.

    Raises KeyInputError if a line is not understood.
    """
    name = loaded.config.auth.keys_file
    if name is None:
        return ()
    path = loaded.resolve(name)
    try:
        return read_keys_file(path.read_text(), path.name)
    except FileNotFoundError:
        return ()


def publish_keys(home: Home, loaded: LoadedConfig, database: Database) -> int:
    """Make exactly the keys valid that are so now, without those whose budget is used up; returns
    how many.

    Raises StateError if the database cannot be read; the keys hold as they are then. MemoryFull if
    nginx has no room for all, StateError if the disk takes no snapshot: what is no longer valid is
    refused all the same then.
    """
    with locked(home.state / "keys.lock"):  # its own: the database may take its time
        keys, blocks = _keys_and_blocks(loaded, database)
        compiled = compile_keys(loaded.config.auth, keys, blocks)
        _publish(home, home.keys_snapshot, {"keys": _exactly(compiled)})
    return len(compiled)


def end_keys(home: Home, hashes: Iterable[str]) -> bool:
    """Refuse these keys from the next request on, whatever else can be published; whether nginx
    took it. publish_keys is due then. Raises StateError if nginx runs and does not take it."""
    try:
        push(home.socket, {"keys": {"delete": list(hashes)}})
    except NginxNotThere:
        return False
    return True


def budgeted_keys(loaded: LoadedConfig, database: Database) -> set[Budgeted]:
    """The keys that have a budget or a team, the revoked ones of teams too."""
    stored = all_keys(database)
    return _budgeted(_valid(loaded, database, stored), stored)


def _keys_and_blocks(
    loaded: LoadedConfig, database: Database
) -> tuple[Mapping[str, ValidKey], dict[str, Block]]:
    stored = all_keys(database)
    keys = _valid(loaded, database, stored)
    return keys, used_up(database, _budgeted(keys, stored), all_teams(database), time.time())


def _valid(
    loaded: LoadedConfig, database: Database, stored: Iterable[StoredKey]
) -> dict[str, ValidKey]:
    auth = loaded.config.auth
    return valid_keys(auth, stored, all_policies(database), keys_of_file(loaded))


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


def publish_routes(home: Home, routes: Routes) -> None:
    """Route by exactly these routes."""
    with locked(home.state / "publish.lock"):
        document = {"routes": _exactly(routes.routes), "catalog": _exactly(routes.catalog)}
        _publish(home, home.routes_snapshot, document)


def publish_conditions(home: Home, down: Iterable[str]) -> None:
    """Say which backends are down; those that are drained stay so.

    Asks no database: one that is away must not hold up that a backend is down.
    """
    with locked(home.state / "publish.lock"):
        known = _conditions(home)
        drained = [name for name, condition in known.items() if condition == "drained"]
        _publish_conditions(home, dict.fromkeys(down, "down") | dict.fromkeys(drained, "drained"))


def publish_drained(home: Home, database: Database) -> None:
    """Drain exactly the backends that the database says. publish_conditions is due then: of one
    that is taken back in, this does not know whether it is down."""
    with locked(home.state / "publish.lock"):
        drained = drained_backends(database)
        known = _conditions(home)
        down = [name for name, condition in known.items() if condition == "down"]
        _publish_conditions(home, dict.fromkeys(down, "down") | dict.fromkeys(drained, "drained"))


def drain(home: Home, database: Database, backend: str, *, drained: bool) -> None:
    """Take a backend out of service, or back in, from the next request on."""
    drained_backends(database)  # a database that is away must not be waited for under the lock
    with locked(home.state / "publish.lock"):
        (keep_drained if drained else undrain)(database, backend)
        known = _conditions(home)
        conditions = (
            {**known, backend: "drained"}
            if drained
            else {name: condition for name, condition in known.items() if name != backend}
        )
        _publish_conditions(home, conditions)


def _conditions(home: Home) -> dict[str, str]:
    known: dict[str, str] = _read(home.conditions_snapshot).get("backends", {}).get("set", {})
    return known


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


def _read(snapshot: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(snapshot.read_text())
    except FileNotFoundError:
        return {}
    return document
