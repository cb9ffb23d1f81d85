"""What operators do with backends while the gateway runs: one code for the command line and others.

Each answers with what it did, as data. Which way a change counts until when: config/in_force.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from infergate.config.backends import AddedBackend, Backend
from infergate.config.in_force import Change, said, settings, with_found
from infergate.config.load import LoadedConfig
from infergate.config.problems import did_you_mean
from infergate.config.root import Config
from infergate.config.types import Name
from infergate.control.follow import follow
from infergate.control.newest import publish_newest
from infergate.control.report import read_inventories
from infergate.errors import Conflict, InfergateError, NotThere, StateError, UserError
from infergate.live.revisions import load_applied
from infergate.live.shared_memory import read
from infergate.paths import Home
from infergate.state.in_force import (
    bring_into_force,
    groups_of,
    lapsed,
    note_changes,
    read_changes,
    read_groups,
)
from infergate.state.publish import drain as publish_drain
from infergate.store.backend_changes import (
    all_changes,
    forget,
    forget_added,
    put_back,
    reset,
    set_change,
)
from infergate.store.database import Database
from infergate.store.drained import drained_backends

_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True)
class GatewayParts:
    """What of a gateway is changed. declared: its configuration as the file has it."""

    declared: LoadedConfig
    home: Home
    database: Database


def drain(gateway: GatewayParts, name: str) -> None:
    """No new requests for it; those it has go on. Raises UserError for an unknown backend."""
    _find(gateway, name)
    publish_drain(gateway.home, gateway.database, name, drained=True)


def undrain(gateway: GatewayParts, name: str) -> None:
    """Take it back into service. Raises UserError for one that is neither known nor drained."""
    if name not in drained_backends(gateway.database):
        _find(gateway, name)
    publish_drain(gateway.home, gateway.database, name, drained=False)


def set_weight(gateway: GatewayParts, name: str, weight: int) -> dict[str, Any]:
    """Give a backend another share of the load, from the next request on; no reload.

    Raises UserError for an unknown backend, or a weight that cannot be.
    """
    backend = _find(gateway, name)
    if not 1 <= weight <= 1000:
        raise UserError(
            f"{weight} is not a weight: 1 to 1,000",
            where=name,
            hint=f"For no requests at all: infergate backend drain {name}",
        )
    before = {"weight": backend.weight}
    of_file = said(_declared(gateway).backends.get(name), "weight")
    with _taken_back_if_refused(gateway, name):
        set_change(gateway.database, name, "weight", {"weight": weight}, of_file, before)
        _bring_into_force(gateway)
    return {"backend": name, "weight": weight, "before": backend.weight, "of_file": of_file}


def add(gateway: GatewayParts, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Put a new backend into service. nginx is reloaded; no stream ends for it.

    given: settings as in the file; those that are None are left out.
    Raises UserError if they are wrong, or the name or the address is taken.
    """
    backend = _checked(name, {key: value for key, value in given.items() if value is not None})
    note_changes(gateway.home, gateway.database)
    there = _in_force(gateway).backends
    # nginx compares the names of upstreams without case.
    names = [*there, *gateway.declared.config.backends, *_declared(gateway).backends]
    taken = next((each for each in names if each.lower() == name.lower()), None)
    if taken is not None:
        raise Conflict(
            f"there is a backend {taken!r} already",
            where=name,
            hint="Choose another name. One that was removed comes back by: "
            f"infergate backend reset {taken}",
        )
    for other, each in there.items():
        if each.root_url == backend.root_url:
            raise Conflict(f"{other!r} has this address already", where=backend.url)
    value = _public(backend)
    with _taken_back_if_refused(gateway, name):
        set_change(gateway.database, name, "add", value, None, None)
        _bring_into_force(gateway)
    return {"backend": name, **value}


def remove(gateway: GatewayParts, name: str) -> dict[str, Any]:
    """Take a backend out permanently: it gets no new requests, and finishes what it has.

    One that the file or discovery names stays out until `reset`, which the answer tells.
    Raises UserError for an unknown backend.
    """
    backend = _find(gateway, name)
    before = _public(backend)
    if isinstance(backend, AddedBackend):
        forget_added(gateway.database, name, before)
    else:
        of_file = said(_declared(gateway).backends.get(name), "remove")
        set_change(gateway.database, name, "remove", {}, of_file, before)
    _bring_into_force(gateway)
    return {"backend": name, "until_reset": not isinstance(backend, AddedBackend)}


def make_as_declared(gateway: GatewayParts, name: str) -> tuple[str, ...]:
    """Undo all that operators changed of a backend; returns what that was: weight, add, remove,
    drain.

    Raises UserError for one that is neither known nor changed.
    """
    note_changes(gateway.home, gateway.database)
    if not any(change.backend == name for change in read_changes(gateway.home)):
        _find(gateway, name)
    was_drained = name in drained_backends(gateway.database)
    undone = tuple(change.what for change in reset(gateway.database, name))
    publish_drain(gateway.home, gateway.database, name, drained=False)
    _bring_into_force(gateway)
    return (*undone, "drain") if was_drained else undone


def end_lapsed(gateway: GatewayParts) -> tuple[Change, ...]:
    """End the changes that the file, which takes effect now, has overtaken; returns them.

    Raises StateError if the database cannot be read.
    """
    note_changes(gateway.home, gateway.database)
    ended = lapsed(gateway.declared, gateway.home)
    for change in ended:
        forget(gateway.database, change)
    if ended:
        note_changes(gateway.home, gateway.database)
    return ended


def in_flight(home: Home, name: str) -> int:
    """The requests that a backend is still answering; none where nginx does not run."""
    try:
        return read(home.socket).in_flight.get(name, 0)
    except StateError:
        return 0


@contextmanager
def _taken_back_if_refused(gateway: GatewayParts, name: str) -> Iterator[None]:
    """What nginx or the disk refuses must not take effect later, when nobody expects it."""
    before = [each for each in all_changes(gateway.database) if each.backend == name]
    try:
        yield
    except InfergateError:
        with suppress(InfergateError):
            put_back(gateway.database, name, before)
            note_changes(gateway.home, gateway.database)
        raise


def _bring_into_force(gateway: GatewayParts) -> None:
    """The control plane does this too, half a second later; it may not run."""
    home, path, database = gateway.home, gateway.declared.path, gateway.database
    publish_newest(
        home,
        follow(gateway.declared, home, database),
        read_inventories(home.health),
        lambda: follow(load_applied(home, path), home, database),
    )


def _declared(gateway: GatewayParts) -> Config:
    """Without what operators changed."""
    found = {name: group.backends for name, group in read_groups(gateway.home).items()}
    return with_found(gateway.declared.config, found)


def _in_force(gateway: GatewayParts) -> Config:
    return bring_into_force(gateway.declared, gateway.home).config


def _find(gateway: GatewayParts, name: str) -> Backend:
    """A backend as it holds now. Raises UserError."""
    note_changes(gateway.home, gateway.database)
    backends = _in_force(gateway).backends
    if name in backends:
        return backends[name]
    where = str(gateway.declared.path)
    if name in groups_of(gateway.declared):
        group = read_groups(gateway.home).get(name)
        shown = ", ".join(each.name for each in group.backends) if group else "none yet"
        raise Conflict(f"{name!r} is a group", where=where, hint=f"Its backends: {shown}")
    raise NotThere(f"there is no backend {name!r}{did_you_mean(name, backends)}", where=where)


def _checked(name: str, values: Mapping[str, Any]) -> AddedBackend:
    try:
        _NAME.validate_python(name)
        return AddedBackend.model_validate(dict(values))
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "name"
        message = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        raise UserError(message, where=field.replace("_", "-")) from None


def _public(backend: Backend) -> dict[str, Any]:
    return {**settings(backend), "weight": backend.weight}
