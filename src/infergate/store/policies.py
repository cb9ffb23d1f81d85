"""Policies: what keys may do, under a name, for many keys at once."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from sqlalchemy import delete, insert, select, update

from infergate.config.policies import Grant
from infergate.errors import Conflict
from infergate.store.audit import note
from infergate.store.database import Database
from infergate.store.names import checked_name, unknown
from infergate.store.tables import keys, policies


def all_policies(database: Database) -> Mapping[str, Grant]:
    """By name."""
    with database.read() as connection:
        rows = connection.execute(select(policies).order_by(policies.c.name)).all()
    return {row.name: Grant.model_validate_json(row.allowed) for row in rows}


def set_policy(database: Database, name: str, given: Grant, unset: Collection[str] = ()) -> Grant:
    """Make a policy, or change it for every key that has it: what is not given stays as it is.

    unset: settings of a Grant or its limits that are to end.
    Raises KeyInputError for a name that cannot be used.
    """
    with database.write() as connection:
        query = select(policies.c.allowed).where(policies.c.name == checked_name(name, "policy"))
        known = connection.execute(query).scalar()
        before = Grant() if known is None else Grant.model_validate_json(known)
        allowed = before.changed(given, unset)
        values = {"allowed": allowed.model_dump_json(exclude_unset=True)}
        after = allowed.model_dump(mode="json", exclude_unset=True)
        if known is None:
            now = int(time.time())
            connection.execute(insert(policies).values(name=name, created_at=now, **values))
            note(connection, "policy.create", name, after=after)
        else:
            connection.execute(update(policies).where(policies.c.name == name).values(**values))
            was = before.model_dump(mode="json", exclude_unset=True)
            note(connection, "policy.set", name, before=was, after=after)
    return allowed


def remove_policy(database: Database, name: str) -> None:
    """Forget a policy that no valid key has. Raises NotThere, or Conflict if one does."""
    with database.write() as connection:
        known = connection.execute(select(policies.c.name)).scalars().all()
        if name not in known:
            raise unknown(name, "policy", known, "`infergate policies list` shows them.")
        holders = select(keys.c.name).where(keys.c.policy == name, keys.c.revoked_at.is_(None))
        valid = connection.execute(holders).scalars().all()
        if valid:
            shown = ", ".join(valid[:5]) + (", …" if len(valid) > 5 else "")
            raise Conflict(
                f"{name!r} still holds for keys: {shown}", hint="Revoke or replace them first."
            )
        connection.execute(update(keys).where(keys.c.policy == name).values(policy=None))
        connection.execute(delete(policies).where(policies.c.name == name))
        note(connection, "policy.remove", name)
