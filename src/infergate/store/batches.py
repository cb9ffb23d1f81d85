"""Batches of clients: what is asked, how far it is, how it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from infergate.store.database import Database
from infergate.store.tables import batches

CANCELLABLE = ("validating", "in_progress", "finalizing")
OPEN = (*CANCELLABLE, "cancelling")
"""The statuses of OpenAI's batches that go on by themselves; the others are their ends."""


@dataclass(frozen=True)
class StoredBatch:
    """node, owner, key: as of a file (store/files.py).

    key_entry: under which nginx knows the key that made it. client: the address it came from.
    output_file, error_file: which ids they get; known before they are written, and None once it
        has ended without one.
    errors: why it failed, in OpenAI's shape. about: the client's `metadata`.
    created_at, expires_at, ended_at: Unix seconds. times: status → since when.
    keep_s: how long what it wrote is kept, if the client said so.
    """

    id: str
    node: str
    owner: str
    key: str
    key_entry: str
    client: str
    endpoint: str
    input_file: str
    output_file: str | None
    error_file: str | None
    created_at: int
    expires_at: int
    status: str = "validating"
    errors: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    total: int = 0
    completed: int = 0
    failed: int = 0
    ended_at: int | None = None
    times: Mapping[str, int] = field(default_factory=dict)
    keep_s: int | None = None


def may_be_id(text: str) -> bool:
    """Whether anything here could be called so. What a client says may be half of a surrogate pair,
    or NUL, and a database that is asked for such a text fails."""
    return text.isascii() and text.isprintable()


_AS_JSON = ("errors", "about", "times")


def add_batch(database: Database, batch: StoredBatch, *, most_open: int) -> bool:
    """Whether its owner may have one more open; it is there then."""
    is_open = batches.c.status.in_(OPEN)
    mine = (batches.c.node == batch.node) & (batches.c.owner == batch.owner)
    with database.write() as connection:
        count = connection.execute(select(func.count()).where(mine, is_open)).scalar_one()
        if count >= most_open:
            return False
        values = {**vars(batch), **{each: json.dumps(getattr(batch, each)) for each in _AS_JSON}}
        connection.execute(insert(batches).values(values))
        return True


def find_batch(
    database: Database, node: str, id_: str, *, owner: str | None = None
) -> StoredBatch | None:
    """owner: whose it must be; None: anybody's, for the operator."""
    if not may_be_id(id_):
        return None
    query = select(batches).where(batches.c.id == id_, batches.c.node == node)
    if owner is not None:
        query = query.where(batches.c.owner == owner)
    with database.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else _batch(row)


def batches_after(
    database: Database, node: str, *, owner: str | None, after: str | None, limit: int
) -> tuple[tuple[StoredBatch, ...], bool] | None:
    """Some of somebody's batches (None: of all), the newest first, and whether there are more; None
    where they have none of the id `after`."""
    if after is not None and not may_be_id(after):
        return None
    query = select(batches).where(batches.c.node == node)
    if owner is not None:
        query = query.where(batches.c.owner == owner)
    with database.read() as connection:
        if after is not None:
            own = query.with_only_columns(batches.c.number).where(batches.c.id == after)
            number = connection.execute(own).scalar()
            if number is None:
                return None
            query = query.where(batches.c.number < number)
        rows = connection.execute(query.order_by(batches.c.number.desc()).limit(limit + 1)).all()
    return tuple(_batch(row) for row in rows[:limit]), len(rows) > limit


def open_batches(database: Database, node: str) -> tuple[StoredBatch, ...]:
    """Those that go on, the oldest first."""
    query = select(batches).where(batches.c.node == node, batches.c.status.in_(OPEN))
    with database.read() as connection:
        rows = connection.execute(query.order_by(batches.c.number)).all()
    return tuple(_batch(row) for row in rows)


def move_batch(
    connection: Connection, id_: str, among: Collection[str], status: str, **values: Any
) -> bool:
    """Give a batch another status, if it has one of these; whether it had.

    values: of other columns.
    """
    query = select(batches.c.status, batches.c.times).where(batches.c.id == id_)
    row = connection.execute(query.with_for_update()).first()
    if row is None or row.status not in among:
        return False
    now = int(time.time())
    times = {**json.loads(row.times), status: now}
    if status not in OPEN:
        values["ended_at"] = now
    if "errors" in values:
        values["errors"] = json.dumps(values["errors"])
    connection.execute(
        update(batches)
        .where(batches.c.id == id_)
        .values(status=status, times=json.dumps(times), **values)
    )
    return True


def count_batch(database: Database, id_: str, *, completed: int, failed: int) -> None:
    """Write down how far a batch is."""
    with database.write() as connection:
        connection.execute(
            update(batches).where(batches.c.id == id_).values(completed=completed, failed=failed)
        )


def forget_old_batches(database: Database, node: str, *, before: int) -> int:
    """Forget those that ended before then (Unix seconds); how many that were."""
    old = delete(batches).where(batches.c.node == node, batches.c.ended_at < before)
    with database.write() as connection:
        return connection.execute(old).rowcount


def _batch(row: Row[Any]) -> StoredBatch:
    named = row._asdict()
    del named["number"]
    return StoredBatch(**{**named, **{each: json.loads(named[each]) for each in _AS_JSON}})
