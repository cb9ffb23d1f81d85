"""What operators changed of the backends while the gateway ran; it holds over restarts."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from infergate.config.in_force import Change, What
from infergate.store.audit import actor, note
from infergate.store.database import Database
from infergate.store.tables import backend_changes, drained


def all_changes(database: Database) -> tuple[Change, ...]:
    """Every change, oldest first."""
    with database.read() as connection:
        return _all(connection)


def _all(connection: Connection, backend: str | None = None) -> tuple[Change, ...]:
    query = select(backend_changes).order_by(backend_changes.c.at, backend_changes.c.backend)
    if backend is not None:
        query = query.where(backend_changes.c.backend == backend)
    return tuple(
        Change(
            row.backend,
            row.what,
            json.loads(row.value),
            None if row.instead_of is None else json.loads(row.instead_of),
            row.at,
            row.who,
        )
        for row in connection.execute(query)
    )


def set_change(
    database: Database,
    backend: str,
    what: What,
    value: Mapping[str, Any],
    instead_of: Mapping[str, Any] | None,
    before: Mapping[str, Any] | None,
) -> None:
    """Make a change, instead of an earlier one of the same kind; what the file says anyway is none.

    before: for the audit log.
    """
    row = {
        "backend": backend,
        "what": what,
        "value": json.dumps(value),
        "instead_of": None if instead_of is None else json.dumps(instead_of),
        "at": int(time.time()),
        "who": actor(),
    }
    with database.write() as connection:
        _forget(connection, backend, what)
        if value != instead_of:
            connection.execute(insert(backend_changes).values(**row))
        note(connection, f"backend.{what}", backend, before=before, after=value or None)


def put_back(database: Database, backend: str, changes: Sequence[Change]) -> None:
    """Have exactly these changes of a backend again: one that came since is not active."""
    with database.write() as connection:
        connection.execute(delete(backend_changes).where(backend_changes.c.backend == backend))
        for change in changes:
            given = None if change.instead_of is None else json.dumps(change.instead_of)
            row = {**vars(change), "value": json.dumps(change.value), "instead_of": given}
            connection.execute(insert(backend_changes).values(**row))
        note(connection, "backend.taken_back", backend)


def forget_added(database: Database, backend: str, before: Mapping[str, Any]) -> None:
    """Remove a backend that an operator had added, with all that was changed of it."""
    with database.write() as connection:
        connection.execute(delete(backend_changes).where(backend_changes.c.backend == backend))
        connection.execute(delete(drained).where(drained.c.backend == backend))
        note(connection, "backend.remove", backend, before=before)


def reset(database: Database, backend: str) -> tuple[Change, ...]:
    """Undo what operators changed of a backend; returns what that was. A drain is undone too."""
    with database.write() as connection:
        changes = _all(connection, backend)
        connection.execute(delete(backend_changes).where(backend_changes.c.backend == backend))
        was_drained = connection.execute(delete(drained).where(drained.c.backend == backend))
        if changes or was_drained.rowcount:
            before: dict[str, Any] = {change.what: change.value for change in changes}
            note(connection, "backend.reset", backend, before=before or None)
    return changes


def forget(database: Database, change: Change) -> None:
    """End a change that the file has overtaken."""
    with database.write() as connection:
        if _forget(connection, change.backend, change.what):
            note(connection, f"backend.{change.what}.end", change.backend, before=change.value)


def _forget(connection: Connection, backend: str, what: What) -> int:
    found = delete(backend_changes).where(
        backend_changes.c.backend == backend, backend_changes.c.what == what
    )
    return connection.execute(found).rowcount
