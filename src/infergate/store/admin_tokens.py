"""Tokens of the admin API: made, recognised, revoked. Only their SHA-256 is kept."""

from __future__ import annotations

import hmac
import secrets as random
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from infergate.errors import Conflict
from infergate.store.audit import note
from infergate.store.database import Database
from infergate.store.names import checked_name, unknown
from infergate.store.secrets import key_hash
from infergate.store.tables import admin_tokens

Role = Literal["read", "full"]

TOKEN_PREFIX = "ig-admin-"  # noqa: S105 - how a token starts, so that a leak is recognised
_TOKEN_BYTES = 32
_SHOWN_CHARACTERS = len(TOKEN_PREFIX) + 4


@dataclass(frozen=True)
class AdminToken:
    """A token as it is kept, without its hash.

    role: "read" may ask, "full" may change. prefix: its first characters, to recognise it by.
    created_at, expires_at: Unix seconds.
    """

    name: str
    role: Role
    prefix: str
    created_at: int
    expires_at: int | None = None


def as_actor(token: AdminToken) -> str:
    """How the audit log names who has it."""
    return f"token {token.name}"


_COLUMNS = tuple(admin_tokens.c[name] for name in AdminToken.__dataclass_fields__)


def create_token(
    database: Database, name: str, role: Role, *, expires_at: int | None = None
) -> tuple[str, AdminToken]:
    """A new token, with its secret: the only time it can be seen.

    Raises KeyInputError for a name that cannot be used, Conflict for one that is taken.
    """
    secret = TOKEN_PREFIX + random.token_urlsafe(_TOKEN_BYTES)
    prefix, now = secret[:_SHOWN_CHARACTERS], int(time.time())
    token = AdminToken(checked_name(name, "token"), role, prefix, now, expires_at)
    with database.write() as connection:
        values: dict[str, Any] = {**asdict(token), "hash": key_hash(secret)}
        try:
            connection.execute(insert(admin_tokens).values(**values))
        except IntegrityError:
            raise Conflict(
                f"there is a token named {name!r} already",
                hint="Choose another name, or revoke that token.",
            ) from None
        note(connection, "token.create", name, after=asdict(token))
    return secret, token


def all_tokens(database: Database) -> tuple[AdminToken, ...]:
    """Those that were not revoked, by name."""
    query = select(*_COLUMNS).where(admin_tokens.c.revoked_at.is_(None))
    with database.read() as connection:
        rows = connection.execute(query.order_by(admin_tokens.c.name)).all()
    return tuple(AdminToken(*row) for row in rows)


def token_of(database: Database, digest: str) -> AdminToken | None:
    """The token whose secret has this hash (store/secrets.py), if it is valid now.

    Every token is compared, in constant time, so that an answer's time says nothing.
    """
    now, found = time.time(), None
    query = select(admin_tokens.c.hash, *_COLUMNS).where(admin_tokens.c.revoked_at.is_(None))
    with database.read() as connection:
        rows = connection.execute(query).all()
    for known, *fields in rows:
        if hmac.compare_digest(known, digest):
            found = AdminToken(*fields)
    return found if found and (found.expires_at is None or found.expires_at > now) else None


def revoke_token(database: Database, name: str) -> None:
    """End a token's validity, from the next request on. Raises NotThere."""
    valid = admin_tokens.c.revoked_at.is_(None)
    with database.write() as connection:
        known = connection.execute(select(admin_tokens.c.name).where(valid)).scalars().all()
        if name not in known:
            raise unknown(name, "token", known, "`infergate admin token list` shows them.")
        ended = update(admin_tokens).where(valid, admin_tokens.c.name == name)
        connection.execute(ended.values(revoked_at=int(time.time())))
        note(connection, "token.revoke", name)
