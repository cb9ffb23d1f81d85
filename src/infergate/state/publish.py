"""Compile, write the snapshot, push: how a change reaches nginx without a reload.

The snapshot is written first. If the push fails because nginx is not running, nginx loads the
snapshot when it starts; so a change that was accepted is never lost.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infergate.config.load import LoadedConfig
from infergate.files import locked, write_atomically
from infergate.nginx.shared_memory import NginxNotThere, push
from infergate.paths import Home
from infergate.state.keys import FileKey, compile_keys, read_keys_file
from infergate.state.routes import Routes
from infergate.store.drained import DrainStore
from infergate.store.keys import KeyStore


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


def publish_keys(home: Home, loaded: LoadedConfig) -> int:
    """Make exactly the keys valid that are so now; returns how many."""
    with locked(home.state / "publish.lock"):
        stored = KeyStore(home.keys_db).list()
        keys = compile_keys(loaded.config.auth, stored, keys_of_file(loaded))
        _publish(home, home.keys_snapshot, {"keys": _exactly(keys)})
    return len(keys)


def publish_routes(home: Home, routes: Routes) -> None:
    """Route by exactly these routes."""
    with locked(home.state / "publish.lock"):
        document = {"routes": _exactly(routes.routes), "catalog": _exactly(routes.catalog)}
        _publish(home, home.routes_snapshot, document)


def publish_conditions(home: Home, down: Iterable[str]) -> None:
    """Say which backends are down; which are drained is read from the store."""
    with locked(home.state / "publish.lock"):
        conditions = dict.fromkeys(down, "down")
        conditions.update(dict.fromkeys(DrainStore(home.keys_db).list(), "drained"))
        _publish(home, home.conditions_snapshot, {"backends": _exactly(conditions)})


def drain(home: Home, backend: str, *, drained: bool) -> None:
    """Take a backend out of service, or back in, from the next request on."""
    with locked(home.state / "publish.lock"):
        store = DrainStore(home.keys_db)
        (store.add if drained else store.remove)(backend)
        known = _read(home.conditions_snapshot).get("backends", {}).get("set", {})
        conditions = (
            {**known, backend: "drained"}
            if drained
            else {name: condition for name, condition in known.items() if name != backend}
        )
        _publish(home, home.conditions_snapshot, {"backends": _exactly(conditions)})


def _exactly(entries: Mapping[str, str]) -> dict[str, Any]:
    return {"replace": True, "set": dict(entries)}


def _publish(home: Home, snapshot: Path, document: Mapping[str, Any]) -> None:
    write_atomically(snapshot, json.dumps(document, ensure_ascii=False), mode=0o640)
    with contextlib.suppress(NginxNotThere):
        push(home.socket, document)


def _read(snapshot: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(snapshot.read_text())
    except FileNotFoundError:
        return {}
    return document
