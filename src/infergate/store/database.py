"""The SQLite file that keys and operators' decisions are kept in.

Written by the command line and read by the control plane, at the same time: WAL lets them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infergate.errors import StateError

_SCHEMA_VERSION = 2
_SCHEMA = """
create table keys (
    id text primary key,
    name text not null,
    hash text not null unique,
    prefix text not null,
    models text not null,
    manage integer not null,
    created_at integer not null,
    expires_at integer,
    revoked_at integer,
    terms text not null default '{}'
);
create table drained (backend text primary key, since integer not null);
"""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in one transaction: committed at the end, rolled back by an exception.

    Raises StateError if the file cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    except (OSError, sqlite3.Error) as problem:
        raise StateError(f"cannot be opened: {problem}", where=str(path)) from problem
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("begin immediate")
        _prepare(connection, path)
        yield connection
        connection.execute("commit")
    except sqlite3.Error as problem:
        raise StateError(f"cannot be read or written: {problem}", where=str(path)) from problem
    finally:
        connection.close()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("pragma user_version").fetchone()[0]
    if version == 0:
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"pragma user_version = {_SCHEMA_VERSION}")
    elif version != _SCHEMA_VERSION:
        raise StateError(
            f"has version {version}; this Infergate reads version {_SCHEMA_VERSION}",
            where=str(path),
            hint="Use the Infergate that wrote it, or another INFERGATE_HOME.",
        )
