"""API keys as they are kept, and how they are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, select

from infergate.config.policies import EVERYTHING, Grant
from infergate.store.database import Database
from infergate.store.names import unknown
from infergate.store.secrets import StoredSecret
from infergate.store.tables import keys, secrets


@dataclass(frozen=True)
class StoredKey:
    """A key as it is kept.

    allowed: what was said of this key itself; `policy` decides on what that leaves unset.
    created_at, expires_at, revoked_at: Unix seconds.
    secrets: oldest first; those before the last are on their way out.
    """

    id: str
    name: str
    created_at: int
    secrets: tuple[StoredSecret, ...]
    allowed: Grant = EVERYTHING
    team: str | None = None
    policy: str | None = None
    expires_at: int | None = None
    revoked_at: int | None = None

    @property
    def prefix(self) -> str:
        return self.secrets[-1].prefix

    @property
    def hash(self) -> str:
        return self.secrets[-1].hash

    def public(self) -> dict[str, Any]:
        """The key as JSON, without secrets or hashes."""
        return {
            "id": self.id,
            "name": self.name,
            "prefix": self.prefix,
            "team": self.team,
            "policy": self.policy,
            **self.allowed.model_dump(mode="json", exclude_unset=True),
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "revoked_at": self.revoked_at,
        }


def all_keys(database: Database) -> tuple[StoredKey, ...]:
    """Every key, revoked ones too, oldest first."""
    with database.read() as connection:
        return read_keys(connection)


def read_keys(connection: Connection) -> tuple[StoredKey, ...]:
    """The same within a transaction."""
    of_key: dict[str, list[StoredSecret]] = defaultdict(list)
    found = connection.execute(select(secrets).order_by(secrets.c.created_at))
    for digest, key, prefix, created_at, valid_until in found.all():
        of_key[key].append(StoredSecret(digest, prefix, created_at, valid_until))
    rows = connection.execute(select(keys).order_by(keys.c.number)).all()
    return tuple(_key(row, of_key[row.id]) for row in rows)


def keys_after(
    database: Database, after: int, limit: int, *, revoked: bool, like: str = ""
) -> tuple[tuple[StoredKey, ...], int | None]:
    """Some of the keys, oldest first, and the number to go on after; None at the end.

    after: a number this function gave, or 0. revoked: those too that are revoked. like: only those
    whose name or team has this in it, in any case.
    """
    query = select(keys).where(keys.c.number > after).order_by(keys.c.number).limit(limit + 1)
    if not revoked:
        query = query.where(keys.c.revoked_at.is_(None))
    if like:
        has_it = keys.c.name.icontains(like, autoescape=True)
        query = query.where(has_it | keys.c.team.icontains(like, autoescape=True))
    with database.read() as connection:
        rows = connection.execute(query).all()
        goes_on, rows = len(rows) > limit, rows[:limit]
        if not rows:
            return (), None
        last = rows[-1].number
        between = (keys.c.number > after) & (keys.c.number <= last)
        own = connection.execute(
            select(secrets).join(keys, keys.c.id == secrets.c.key).where(between)
        ).all()
    of_key: dict[str, list[StoredSecret]] = defaultdict(list)
    for digest, key, prefix, created_at, valid_until in own:
        of_key[key].append(StoredSecret(digest, prefix, created_at, valid_until))
    return tuple(_key(row, of_key[row.id]) for row in rows), last if goes_on else None


def find_key(database: Database, which: str) -> StoredKey:
    """The key with this id or name; a valid one before one that was revoked.

    Raises NotThere if there is none.
    """
    with database.read() as connection:
        return find_in(connection, which)


def find_in(connection: Connection, which: str, *, valid: bool = False) -> StoredKey:
    """As find_key, within a transaction. valid: none that was revoked."""
    query = select(keys).where((keys.c.id == which) | (keys.c.name == which))
    if valid:
        query = query.where(keys.c.revoked_at.is_(None))
    row = connection.execute(query.order_by(keys.c.revoked_at.is_not(None))).first()
    if row is None:
        offered = select(keys.c.name).limit(10_000)
        if valid:
            offered = offered.where(keys.c.revoked_at.is_(None))
        names = connection.execute(offered).scalars()
        what = "valid key with the id or name" if valid else "key with the id or name"
        raise unknown(which, what, names, "`infergate keys list` shows them.")
    found = select(secrets).where(secrets.c.key == row.id).order_by(secrets.c.created_at)
    return _key(
        row,
        [
            StoredSecret(each.hash, each.prefix, each.created_at, each.valid_until)
            for each in connection.execute(found)
        ],
    )


def _key(row: Row[Any], own: Sequence[StoredSecret]) -> StoredKey:
    # Two made within a second: the one that is not on its way out is the newer.
    ordered = sorted(own, key=lambda each: (each.created_at, each.valid_until is None))
    return StoredKey(
        row.id,
        row.name,
        row.created_at,
        tuple(ordered),
        _grant(row.allowed),
        row.team,
        row.policy,
        row.expires_at,
        row.revoked_at,
    )


@lru_cache(maxsize=4096)
def _grant(text: str) -> Grant:
    """Of ten thousand keys, most have the same."""
    return Grant.model_validate_json(text)
