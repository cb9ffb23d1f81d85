"""Who asks for models by names that go away, counted in the transaction of the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from infergate.store.database import Database
from infergate.store.tables import old_names

MOST_CLIENTS = 100
"""Of a name and a key: a client can say what it likes of itself."""

OTHERS = "(others)"


class OldNameGroup(NamedTuple):
    """name: in lower case. client: what it says of itself."""

    name: str
    key: str
    client: str


class OldNameCalls(NamedTuple):
    """first_at, last_at: Unix seconds."""

    calls: int
    first_at: int
    last_at: int

    def and_one(self, second: int) -> OldNameCalls:
        """With one more request, which ended then."""
        if not self.calls:
            return OldNameCalls(1, second, second)
        return OldNameCalls(self.calls + 1, min(self.first_at, second), max(self.last_at, second))


NONE = OldNameCalls(0, 0, 0)


def add_old_names(connection: Connection, found: Mapping[OldNameGroup, OldNameCalls]) -> None:
    """Add to what is there, in an order in which no two gateways wait for each other."""
    for group in sorted(found):
        if not _added(connection, group, found[group]):
            known = select(func.count()).where(
                old_names.c.name == group.name, old_names.c.key == group.key
            )
            if connection.execute(known).scalar_one() < MOST_CLIENTS:
                _insert(connection, group, found[group])
            elif not _added(connection, others := group._replace(client=OTHERS), found[group]):
                _insert(connection, others, found[group])


def _added(connection: Connection, group: OldNameGroup, more: OldNameCalls) -> bool:
    known = connection.execute(
        select(old_names.c.calls, old_names.c.first_at, old_names.c.last_at).where(*_of(group))
    ).one_or_none()
    if known is None:
        return False
    calls, first_at, last_at = known
    connection.execute(
        update(old_names)
        .where(*_of(group))
        .values(
            calls=calls + more.calls,
            first_at=min(first_at, more.first_at),
            last_at=max(last_at, more.last_at),
        )
    )
    return True


def _insert(connection: Connection, group: OldNameGroup, calls: OldNameCalls) -> None:
    connection.execute(insert(old_names).values(**group._asdict(), **calls._asdict()))


def _of(group: OldNameGroup) -> list[ColumnElement[bool]]:
    return [old_names.c[name] == value for name, value in group._asdict().items()]


def all_old_names(database: Database, since: int) -> list[tuple[OldNameGroup, OldNameCalls]]:
    """Who asked since then, the last one first."""
    columns = [old_names.c[each] for each in (*OldNameGroup._fields, *OldNameCalls._fields)]
    query = select(*columns).where(old_names.c.last_at >= since)
    with database.read() as connection:
        rows = connection.execute(query.order_by(old_names.c.last_at.desc(), *columns[:3])).all()
    return [(OldNameGroup(*row[:3]), OldNameCalls(*row[3:])) for row in rows]


def forget_old_names(connection: Connection, before: int) -> None:
    """Remove who has not asked since then."""
    connection.execute(delete(old_names).where(old_names.c.last_at < before))
