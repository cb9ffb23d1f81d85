"""Backends that an operator has taken out of service; they stay so over restarts."""

from __future__ import annotations

import time

from sqlalchemy import delete, insert, select

from infergate.store.audit import note
from infergate.store.database import Database
from infergate.store.tables import drained


def drain(database: Database, backend: str) -> None:
    """Take it out of service."""
    with database.write() as connection:
        known = select(drained.c.since).where(drained.c.backend == backend)
        if connection.execute(known).first() is None:
            connection.execute(insert(drained).values(backend=backend, since=int(time.time())))
            note(connection, "backend.drain", backend)


def undrain(database: Database, backend: str) -> None:
    """Take it back in."""
    with database.write() as connection:
        if connection.execute(delete(drained).where(drained.c.backend == backend)).rowcount:
            note(connection, "backend.undrain", backend)


def drained_backends(database: Database) -> dict[str, int]:
    """Those that are out of service now, with the Unix time since when."""
    with database.read() as connection:
        rows = connection.execute(select(drained.c.backend, drained.c.since))
        return {row.backend: row.since for row in rows}
