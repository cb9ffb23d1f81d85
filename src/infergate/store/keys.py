"""API keys: made, found, given a new secret, revoked. A secret is never stored."""

from __future__ import annotations

import dataclasses
import secrets as random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from infergate.config.policies import EVERYTHING, Grant
from infergate.errors import KeyInputError
from infergate.store.audit import note
from infergate.store.database import Database
from infergate.store.names import checked_name, unknown
from infergate.store.secrets import StoredSecret, key_hash, new_secret, shown
from infergate.store.tables import keys, policies, secrets, teams


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
        """It in JSON, without anything that would let somebody in or guess."""
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


@dataclass(frozen=True)
class NewKey:
    """A key just made or rotated, with its secret: the only time it can be seen."""

    secret: str
    stored: StoredKey


def create_key(
    database: Database,
    name: str,
    *,
    allowed: Grant = EVERYTHING,
    team: str | None = None,
    policy: str | None = None,
    expires_at: int | None = None,
) -> NewKey:
    """A new key under a name that no valid key has.

    Raises KeyInputError for a name that cannot be used, or a team or policy that is not there.
    """
    secret, now = new_secret(), int(time.time())
    key = StoredKey(
        id=new_id(),
        name=checked_name(name, "key"),
        created_at=now,
        secrets=(StoredSecret(key_hash(secret), shown(secret), now),),
        allowed=allowed,
        team=team,
        policy=policy,
        expires_at=expires_at,
    )
    with database.write() as connection:
        if team is not None:
            known = connection.execute(select(teams.c.name)).scalars().all()
            if team not in known:
                raise unknown(team, "team", known, f"`infergate teams create {team}` makes one.")
        if policy is not None:
            known = connection.execute(select(policies.c.name)).scalars().all()
            if policy not in known:
                raise unknown(policy, "policy", known, "`infergate policies set` makes one.")
        try:
            insert_key(connection, key)
        except IntegrityError:
            raise KeyInputError(
                f"there is a key named {name!r} already",
                hint="Choose another name, or revoke or rotate that key.",
            ) from None
        note(connection, "key.create", name, after=key.public())
    return NewKey(secret, key)


def new_id() -> str:
    """An id that no key has."""
    return "key_" + random.token_hex(6)


def insert_key(connection: Connection, key: StoredKey) -> None:
    """One row for the key and one for each of its secrets."""
    connection.execute(
        insert(keys).values(
            id=key.id,
            name=key.name,
            team=key.team,
            policy=key.policy,
            allowed=key.allowed.model_dump_json(exclude_unset=True),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
        )
    )
    rows = [{**dataclasses.asdict(secret), "key": key.id} for secret in key.secrets]
    connection.execute(insert(secrets), rows)


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


def find_key(database: Database, which: str) -> StoredKey:
    """The key with this id or name; a valid one before one that was revoked.

    Raises KeyInputError if there is none.
    """
    with database.read() as connection:
        return _find(connection, which)


def _find(connection: Connection, which: str, *, valid: bool = False) -> StoredKey:
    query = select(keys).where((keys.c.id == which) | (keys.c.name == which))
    if valid:
        query = query.where(keys.c.revoked_at.is_(None))
    row = connection.execute(query.order_by(keys.c.revoked_at.is_not(None))).first()
    if row is None:
        names = connection.execute(select(keys.c.name).limit(10_000)).scalars()
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


def rotate_key(database: Database, which: str, grace_s: float) -> NewKey:
    """Give a key a new secret; the one it had is good for grace_s seconds more.

    Raises KeyInputError if no valid key has this id or name.
    """
    secret, now = new_secret(), int(time.time())
    with database.write() as connection:
        key = _find(connection, which, valid=True)
        ends = now + int(grace_s)
        connection.execute(
            update(secrets)
            .where(secrets.c.key == key.id)
            .where(secrets.c.valid_until.is_(None) | (secrets.c.valid_until > ends))
            .values(valid_until=ends)
        )
        new = StoredSecret(key_hash(secret), shown(secret), now)
        connection.execute(insert(secrets).values(**dataclasses.asdict(new), key=key.id))
        rotated = dataclasses.replace(key, secrets=(*key.secrets, new))
        after = {**rotated.public(), "old_secret_until": ends}
        note(connection, "key.rotate", key.name, before=key.public(), after=after)
        return NewKey(secret, _find(connection, key.id))


def revoke_key(database: Database, which: str) -> StoredKey:
    """End the validity of the key with this id or name, for good.

    Raises KeyInputError if no valid key has it.
    """
    with database.write() as connection:
        key = _find(connection, which, valid=True)
        revoked = dataclasses.replace(key, revoked_at=int(time.time()))
        connection.execute(
            update(keys).where(keys.c.id == key.id).values(revoked_at=revoked.revoked_at)
        )
        note(connection, "key.revoke", key.name, before=key.public(), after=revoked.public())
    return revoked


def add_keys(database: Database, new: Iterable[StoredKey]) -> int:
    """Keep keys that were made elsewhere, as from an import; returns how many were new.

    One whose secret is known is left out. One whose name is taken gets a number behind it; teams
    that are not there are made, policies must be: Raises KeyInputError.
    """
    added = 0
    with database.write() as connection:
        hashes = set(connection.execute(select(secrets.c.hash)).scalars())
        valid = select(keys.c.name).where(keys.c.revoked_at.is_(None))
        names = set(connection.execute(valid).scalars())
        there = set(connection.execute(select(teams.c.name)).scalars())
        known_policies = set(connection.execute(select(policies.c.name)).scalars())
        for key in new:
            if any(secret.hash in hashes for secret in key.secrets):
                continue
            if key.policy is not None and key.policy not in known_policies:
                raise unknown(key.policy, "policy", known_policies, "`infergate policies set`.")
            if key.team is not None and key.team not in there:
                now = int(time.time())
                connection.execute(insert(teams).values(name=key.team, budget="[]", created_at=now))
                there.add(key.team)
            name, number = key.name, 1
            while key.revoked_at is None and name in names:
                number += 1
                name = f"{key.name}-{number}"
            insert_key(connection, dataclasses.replace(key, id=new_id(), name=name))
            names.add(name)
            hashes.update(secret.hash for secret in key.secrets)
            note(connection, "key.import", name, after=key.public())
            added += 1
    return added
