"""Files that clients gave, and those that their batches wrote: what is known of them. What is in
them lies in the state folder (api/files/folder.py)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from infergate.store.batches import OPEN, may_be_id
from infergate.store.database import Database
from infergate.store.tables import batches, files


@dataclass(frozen=True)
class StoredFile:
    """id: also what it is called on the disk. node: the gateway that has it. owner: the tenant of
    the key that gave it, so that of a team's keys each sees it. key: that key's name. name: the
    client's, for people. created_at, expires_at: Unix seconds."""

    id: str
    node: str
    owner: str
    key: str
    name: str
    purpose: str
    bytes: int
    created_at: int
    expires_at: int | None = None


def add_file(database: Database, file: StoredFile, *, most: int, most_bytes: int) -> bool:
    """Whether its owner may have one more of that size; it is there then."""
    with database.write() as connection:
        count, size = _held(connection, file.node, file.owner)
        if count >= most or size + file.bytes > most_bytes:
            return False
        put_file(connection, file)
        return True


def put_file(connection: Connection, file: StoredFile) -> None:
    """In a transaction, and whatever its owner has already."""
    connection.execute(insert(files).values({**vars(file), "name": json.dumps(file.name)}))


def held(database: Database, node: str, owner: str) -> tuple[int, int]:
    """How many files somebody has, and their bytes."""
    with database.read() as connection:
        return _held(connection, node, owner)


def _held(connection: Connection, node: str, owner: str) -> tuple[int, int]:
    query = select(func.count(), func.sum(files.c.bytes)).where(
        files.c.node == node, files.c.owner == owner
    )
    count, size = connection.execute(query).one()
    return int(count), int(size or 0)


def find_file(database: Database, node: str, owner: str, id_: str) -> StoredFile | None:
    """None: nobody else's is found either."""
    if not may_be_id(id_):
        return None
    query = select(files).where(files.c.id == id_, files.c.node == node, files.c.owner == owner)
    with database.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else _file(row)


def files_after(
    database: Database,
    node: str,
    owner: str,
    *,
    after: str | None,
    limit: int,
    purpose: str | None = None,
    newest_first: bool = True,
) -> tuple[tuple[StoredFile, ...], bool] | None:
    """Some of somebody's files, and whether there are more; None where they have none of the id
    `after`."""
    if after is not None and not may_be_id(after):
        return None
    if purpose is not None and not may_be_id(purpose):
        return (), False
    query = select(files).where(files.c.node == node, files.c.owner == owner)
    with database.read() as connection:
        if after is not None:
            number = connection.execute(
                query.with_only_columns(files.c.number).where(files.c.id == after)
            ).scalar()
            if number is None:
                return None
            query = query.where(
                files.c.number < number if newest_first else files.c.number > number
            )
        if purpose is not None:
            query = query.where(files.c.purpose == purpose)
        order = files.c.number.desc() if newest_first else files.c.number
        rows = connection.execute(query.order_by(order).limit(limit + 1)).all()
    return tuple(_file(row) for row in rows[:limit]), len(rows) > limit


def forget_file(database: Database, node: str, owner: str, id_: str) -> bool:
    """False where a batch still reads it."""
    with database.write() as connection:
        reads = select(batches.c.id).where(batches.c.input_file == id_, batches.c.status.in_(OPEN))
        if connection.execute(reads).first() is not None:
            return False
        connection.execute(
            delete(files).where(files.c.id == id_, files.c.node == node, files.c.owner == owner)
        )
    return True


def forget_old_files(database: Database, node: str, *, before: int) -> list[str]:
    """Forget those that were made before then, or that are to end by now; which that were.

    before: Unix seconds. One that a batch still reads stays until that has ended.
    """
    reads = select(batches.c.input_file).where(batches.c.status.in_(OPEN))
    old = (files.c.created_at < before) | (files.c.expires_at <= int(time.time()))
    query = select(files.c.id).where(files.c.node == node, old, files.c.id.not_in(reads))
    with database.write() as connection:
        found = list(connection.execute(query).scalars())
        for id_ in found:
            connection.execute(delete(files).where(files.c.id == id_))
    return found


def known_files(database: Database, node: str, among: Iterable[str]) -> set[str]:
    """Those of these names that are files, or are being written by an open batch."""
    there = set(among)
    with database.read() as connection:
        known = set(connection.execute(select(files.c.id).where(files.c.node == node)).scalars())
        written = select(batches.c.output_file, batches.c.error_file).where(
            batches.c.node == node, batches.c.status.in_(OPEN)
        )
        for output, errors in connection.execute(written):
            known |= {output, errors}
    return there & known


def _file(row: Row[Any]) -> StoredFile:
    named = row._asdict()
    del named["number"]
    return StoredFile(**{**named, "name": json.loads(row.name)})
