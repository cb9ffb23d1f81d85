"""OpenAI's responses that are kept: what each says, what was asked, which conversation it goes on
with. Of that each has its own part; so what is deleted is not in the later ones either."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Row,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from infergate.store.database import Database
from infergate.store.tables import keys, responses, secrets

OPEN = ("queued", "in_progress")
"""The statuses of those in the background that go on; the others are ends."""

Json = dict[str, Any]


@dataclass(frozen=True)
class StoredResponse:
    """node: the gateway that makes it. owner: `owner_of` the key that asked. entry: under which
    nginx knows that key. client: the address it was asked from. document: the response. items: its
    own input. asked: the rest of the request, as long as it goes on. events: of a stream in the
    background, as it was sent; None where there was none, or it is not kept. attempts: how often
    it was begun. created_at, used_at: Unix seconds."""

    id: str
    node: str
    owner: str
    entry: str
    client: str
    previous: str | None
    document: Json
    items: list[Json]
    created_at: int
    asked: Json | None = None
    events: str | None = None
    attempts: int = 0
    used_at: int = field(default_factory=lambda: int(time.time()))

    @property
    def status(self) -> str:
        return str(self.document["status"])

    @property
    def in_background(self) -> bool:
        return bool(self.document["background"])

    @property
    def bytes(self) -> int:
        """What it takes."""
        texts = (json.dumps(each) for each in (self.document, self.items, self.asked))
        return sum(map(len, texts)) + len(self.events or "")


class ChainBroken(Exception):
    """A conversation is not there whole: the response `missing` is gone, or of somebody else."""

    def __init__(self, missing: str) -> None:
        super().__init__(missing)
        self.missing = missing


class ChainTooLong(Exception):
    """A conversation has more bytes than it may."""


def owner_of(database: Database, entry: str) -> str:
    """Whose a request is: its key's id, which another secret of the key has too, and another key of
    the same name has not. Of a key of the YAML, and of nobody's, the entry itself."""
    with database.read() as connection:
        found = connection.execute(select(secrets.c.key).where(secrets.c.hash == entry)).scalar()
    return entry if found is None else str(found)


def add_response(
    database: Database,
    made: StoredResponse,
    *,
    most: int,
    most_bytes: int,
    most_open: int | None = None,
) -> bool:
    """Keep one, and as many of its owner's as there is room for; the oldest that have ended go.

    most_open: how many of an owner's may go on with this one; False where those are there already.
    """
    with database.write() as connection:
        if most_open is not None:
            mine = (responses.c.owner == made.owner) & responses.c.status.in_(OPEN)
            if connection.execute(select(func.count()).where(mine)).scalar_one() >= most_open:
                return False
        connection.execute(insert(responses).values(_row(made)))
        _make_room(connection, made, most, most_bytes)
        return True


def _make_room(connection: Connection, made: StoredResponse, most: int, most_bytes: int) -> None:
    mine = responses.c.owner == made.owner
    counted = select(func.count(), func.sum(responses.c.bytes)).where(mine)
    count, size = connection.execute(counted).one()
    if count <= most and size <= most_bytes:
        return
    others = select(responses.c.id, responses.c.bytes).where(
        mine, responses.c.status.not_in(OPEN), responses.c.id != made.id
    )
    for row in connection.execute(others.order_by(responses.c.used_at, responses.c.number)).all():
        if count <= most and size <= most_bytes:
            return
        connection.execute(delete(responses).where(responses.c.id == row.id))
        count, size = count - 1, size - row.bytes


def find_response(database: Database, id_: str, owner: str) -> StoredResponse | None:
    """None: nobody else's is found either."""
    query = select(responses).where(responses.c.id == id_, responses.c.owner == owner)
    with database.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else _response(row)


def earlier(database: Database, of: StoredResponse) -> list[StoredResponse]:
    """A response and those before it that are there still, the first of them first."""
    with database.read() as connection:
        return [_response(row) for row in _rows(connection, _chain(of.id, of.owner))]


def go_on_from(database: Database, id_: str, owner: str, most_bytes: int) -> list[StoredResponse]:
    """The same of one that is gone on with: they stay as long as if they were new.

    Raises ChainBroken, ChainTooLong.
    """
    chain = _chain(id_, owner)
    with database.write() as connection:
        facts = connection.execute(select(chain).order_by(chain.c.back)).all()
        if not facts or facts[-1].previous is not None:
            raise ChainBroken(facts[-1].previous if facts else id_)
        if sum(each.bytes for each in facts) > most_bytes:
            raise ChainTooLong
        found = [_response(row) for row in _rows(connection, chain)]
        ids, now = [each.id for each in found], int(time.time())
        connection.execute(update(responses).where(responses.c.id.in_(ids)).values(used_at=now))
    return found


def _chain(id_: str, owner: str) -> CTE:
    """id, previous and bytes of a response and those before it, and how far back each is."""
    mine = responses.c.owner == owner
    of = (responses.c.id, responses.c.previous, responses.c.bytes)
    chain = (
        select(*of, literal(0).label("back"))
        .where(responses.c.id == id_, mine)
        .cte("chain", recursive=True)
    )
    before = select(*of, chain.c.back + 1).join(chain, responses.c.id == chain.c.previous)
    return chain.union_all(before.where(mine))


def _rows(connection: Connection, chain: CTE) -> Sequence[Row[Any]]:
    rows = select(responses).join(chain, responses.c.id == chain.c.id)
    return connection.execute(rows.order_by(chain.c.back.desc())).all()


def begin_response(database: Database, id_: str) -> bool:
    """One that goes on is in progress, begun once more; False where it has ended."""

    def begun(found: StoredResponse) -> StoredResponse:
        document = {**found.document, "status": "in_progress"}
        return replace(found, document=document, attempts=found.attempts + 1)

    return _change(database, id_, begun)


def end_response(database: Database, id_: str, document: Json, events: str | None = None) -> bool:
    """One that goes on is over; False where it was already, or is gone."""
    return _change(
        database, id_, lambda it: replace(it, document=document, events=events, asked=None)
    )


def _change(
    database: Database, id_: str, change: Callable[[StoredResponse], StoredResponse]
) -> bool:
    """Whether there is one that goes on."""
    with database.write() as connection:
        query = select(responses).where(responses.c.id == id_, responses.c.status.in_(OPEN))
        row = connection.execute(query.with_for_update()).first()
        if row is not None:
            values = _row(change(_response(row)))
            connection.execute(update(responses).where(responses.c.id == id_).values(values))
        return row is not None


def open_responses(database: Database, node: str | None) -> tuple[StoredResponse, ...]:
    """Those that go on of a gateway (None: of all), the oldest first."""
    query = select(responses).where(responses.c.status.in_(OPEN))
    if node is not None:
        query = query.where(responses.c.node == node)
    with database.read() as connection:
        rows = connection.execute(query.order_by(responses.c.number)).all()
    return tuple(_response(row) for row in rows)


def open_ids(database: Database, node: str) -> set[str]:
    """Their ids alone."""
    query = select(responses.c.id).where(responses.c.node == node, responses.c.status.in_(OPEN))
    with database.read() as connection:
        return set(connection.execute(query).scalars())


def forget_response(database: Database, id_: str, owner: str) -> bool:
    """Whether there was one."""
    mine = delete(responses).where(responses.c.id == id_, responses.c.owner == owner)
    with database.write() as connection:
        return connection.execute(mine).rowcount > 0


def forget_old_responses(database: Database, *, before: int) -> int:
    """Forget those that have ended and were not used since then (Unix seconds), and all of revoked
    keys; how many that were."""
    revoked = select(keys.c.id).where(keys.c.revoked_at.is_not(None))
    old: ColumnElement[bool] = (responses.c.used_at < before) | responses.c.owner.in_(revoked)
    with database.write() as connection:
        ended = responses.c.status.not_in(OPEN)
        return connection.execute(delete(responses).where(ended, old)).rowcount


_AS_JSON = ("document", "items", "asked")


def _row(response: StoredResponse) -> dict[str, Any]:
    texts = {each: json.dumps(getattr(response, each)) for each in _AS_JSON}
    if response.asked is None:
        texts["asked"] = None  # type: ignore[assignment]
    return {**vars(response), **texts, "status": response.status, "bytes": response.bytes}


def _response(row: Row[Any]) -> StoredResponse:
    named = row._asdict()
    for each in ("number", "status", "bytes"):
        del named[each]
    read = {each: json.loads(named[each] or "null") for each in _AS_JSON}
    return StoredResponse(**{**named, **read})
