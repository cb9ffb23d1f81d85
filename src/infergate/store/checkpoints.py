"""How far each file of the access log is counted."""

from __future__ import annotations

import time
from collections.abc import Collection

from sqlalchemy import Connection, delete, select, text

from infergate.errors import StateError
from infergate.store.database import Database
from infergate.store.tables import logs

_FORGOTTEN_AFTER_S = 90 * 86400


class CountedElsewhere(StateError):
    """Another process has counted these lines."""


def positions(database: Database) -> dict[str, int]:
    """By the files' identities (ledger/tail.py): every byte before it is counted."""
    with database.read() as connection:
        rows = connection.execute(select(logs.c.identity, logs.c.position)).all()
    return {row.identity: row.position for row in rows}


def move(
    connection: Connection,
    identity: str,
    *,
    node: str,
    file: str,
    inode: int,
    start: int,
    end: int,
    lines: int,
    unreadable: int,
) -> None:
    """Say that a file's bytes from start to end are counted, in the transaction that counts them.

    node: whose log it is; file, inode: for people.
    Raises CountedElsewhere if counting does not stand at start: what this transaction holds must
    then not be stored.
    """
    values = {
        "identity": identity,
        "node": node,
        "file": file,
        "inode": inode,
        "end": end,
        "start": start,
        "lines": lines,
        "unreadable": unreadable,
        "now": int(time.time()),
    }
    if not any(connection.execute(way, values).rowcount == 1 for way in (_MOVE, _BEGIN)):
        raise CountedElsewhere("another process counts this access log", where=file)


_MOVE = text(
    "UPDATE logs SET position = :end, node = :node, file = :file, inode = :inode, "
    "lines = lines + :lines, unreadable = unreadable + :unreadable, updated_at = :now "
    "WHERE identity = :identity AND position = :start"
)
_BEGIN = text(
    "INSERT INTO logs (identity, node, file, inode, position, lines, unreadable, updated_at) "
    "VALUES (:identity, :node, :file, :inode, :end, :lines, :unreadable, :now) "
    "ON CONFLICT (identity) DO NOTHING"
)


def cut(connection: Connection, identity: str, size: int) -> None:
    """A file was cut short: counting goes on at its end."""
    connection.execute(logs.update().where(logs.c.identity == identity).values(position=size))


def forget_checkpoints(
    connection: Connection, node: str, present: Collection[str], now: float
) -> int:
    """Remove those of a node's files that are gone and have not grown for three months.

    present: identities of the files that are there. Returns how many were removed.
    """
    query = select(logs.c.identity).where(
        logs.c.node == node, logs.c.updated_at < int(now) - _FORGOTTEN_AFTER_S
    )
    gone = set(connection.execute(query).scalars()) - set(present)
    for identity in gone:
        connection.execute(delete(logs).where(logs.c.identity == identity))
    return len(gone)


def lines_counted(database: Database) -> tuple[int, int]:
    """All lines ever counted of the files that are still known, and those not understood."""
    with database.read() as connection:
        rows = connection.execute(select(logs.c.lines, logs.c.unreadable)).all()
    return sum(row.lines for row in rows), sum(row.unreadable for row in rows)
