"""Changes of API keys: made, given a new secret, revoked, taken over. A secret is never stored."""

from __future__ import annotations

import dataclasses
import secrets as random
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from infergate.config.policies import EVERYTHING, Grant
from infergate.errors import Conflict
from infergate.store.audit import note
from infergate.store.database import Database
from infergate.store.keys import StoredKey, find_in
from infergate.store.names import checked_name, unknown
from infergate.store.secrets import StoredSecret, key_hash, new_secret, shown
from infergate.store.tables import keys, policies, secrets, teams


@dataclass(frozen=True)
class KeyToMake:
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
) -> KeyToMake:
    """A new key under a name that no valid key has.

    Raises KeyInputError for a name that cannot be used, Conflict for one that is taken or for a
    team or policy that is not there.
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
        _check_there(connection, team, policy)
        try:
            insert_key(connection, key)
        except IntegrityError:
            raise Conflict(
                f"there is a key named {name!r} already",
                hint="Choose another name, or revoke or rotate that key.",
            ) from None
        note(connection, "key.create", name, after=key.public())
    return KeyToMake(secret, key)


def _check_there(connection: Connection, team: str | None, policy: str | None) -> None:
    """Raises Conflict for a team or policy that nobody made."""
    if team is not None:
        known = connection.execute(select(teams.c.name)).scalars().all()
        if team not in known:
            hint = f"`infergate teams create {team}` makes one."
            raise unknown(team, "team", known, hint, Conflict)
    if policy is not None:
        known = connection.execute(select(policies.c.name)).scalars().all()
        if policy not in known:
            hint = "`infergate policies set` makes one."
            raise unknown(policy, "policy", known, hint, Conflict)


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


def set_key(
    database: Database,
    which: str,
    given: Grant,
    unset: Collection[str] = (),
    *,
    team: str | None = None,
    policy: str | None = None,
    expires_at: int | None = None,
) -> StoredKey:
    """Change what a key may do; what is not given stays as it is.

    unset: settings of a Grant or its limits, team, policy or expires_at, that are to end.
    Raises NotThere if no valid key has this id or name, Conflict if team or policy is not there.
    """
    with database.write() as connection:
        key = find_in(connection, which, valid=True)
        _check_there(connection, team, policy)
        new = {"team": team, "policy": policy, "expires_at": expires_at}
        values: dict[str, Any] = {n: value for n, value in new.items() if value is not None}
        values |= {name: None for name in new if name in unset}
        changed = dataclasses.replace(key, allowed=key.allowed.changed(given, unset), **values)
        allowed = changed.allowed.model_dump_json(exclude_unset=True)
        row = update(keys).where(keys.c.id == key.id).values(allowed=allowed, **values)
        connection.execute(row)
        if changed != key:
            note(connection, "key.set", key.name, before=key.public(), after=changed.public())
    return changed


def rotate_key(database: Database, which: str, grace_s: float) -> KeyToMake:
    """Give a key a new secret; the one it had is good for grace_s seconds more.

    Raises NotThere if no valid key has this id or name.
    """
    secret, now = new_secret(), int(time.time())
    with database.write() as connection:
        key = find_in(connection, which, valid=True)
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
        return KeyToMake(secret, find_in(connection, key.id))


def withdraw(database: Database, made: KeyToMake, before: StoredKey | None) -> None:
    """Take back a secret that nobody has seen: with its key, or so that the key is as before."""
    if before is None:
        revoke_key(database, made.stored.id)
        return
    with database.write() as connection:
        connection.execute(delete(secrets).where(secrets.c.hash == key_hash(made.secret)))
        for secret in before.secrets:
            row = update(secrets).where(secrets.c.hash == secret.hash)
            connection.execute(row.values(valid_until=secret.valid_until))
        note(
            connection,
            "key.withdraw",
            before.name,
            before=made.stored.public(),
            after=before.public(),
        )


def revoke_key(database: Database, which: str) -> StoredKey:
    """End the validity of the key with this id or name, permanently.

    Raises NotThere if no valid key has it.
    """
    with database.write() as connection:
        key = find_in(connection, which, valid=True)
        revoked = dataclasses.replace(key, revoked_at=int(time.time()))
        connection.execute(
            update(keys).where(keys.c.id == key.id).values(revoked_at=revoked.revoked_at)
        )
        note(connection, "key.revoke", key.name, before=key.public(), after=revoked.public())
    return revoked


def add_keys(database: Database, new: Iterable[StoredKey]) -> int:
    """Keep keys that were made elsewhere, as from an import; returns how many were new.

    One whose secret is known is left out. One whose name is taken gets a number behind it; teams
    that are not there are made, policies must be: Raises Conflict.
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
                hint = "`infergate policies set` makes one."
                raise unknown(key.policy, "policy", known_policies, hint, Conflict)
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
