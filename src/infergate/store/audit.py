"""Who changed what, and when: written in the transaction of the change itself."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, func, insert, select

from infergate.store.database import Database
from infergate.store.tables import audit

_LONGEST = 256
_caller: ContextVar[str | None] = ContextVar("caller", default=None)


@dataclass(frozen=True)
class AuditLine:
    """One change.

    number: counts up; at: Unix seconds; who: user@host, or "token NAME" of the admin API.
    action: what was done, such as key.create; subject: to whom.
    before, after: what held; None where there was nothing. Never a secret.
    """

    number: int
    at: int
    who: str
    action: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@contextmanager
def acting_as(who: str) -> Iterator[None]:
    """What is written down within was done by this caller of the admin API."""
    before = _caller.set(who)
    try:
        yield
    finally:
        _caller.reset(before)


def actor() -> str:
    """Who does what is written down: a caller of the admin API, else the user of this process."""
    return (_caller.get() or _process_user())[:_LONGEST]


@cache
def _process_user() -> str:
    """The user who runs this process, and who became them by sudo, at this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        user = str(os.getuid())
    behind = os.environ.get("SUDO_USER")
    name = f"{behind} as {user}" if behind and behind != user else user
    return f"{name}@{socket.gethostname()}"


def note(
    connection: Connection,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write a change down, in the transaction that makes it."""
    connection.execute(
        insert(audit).values(
            at=int(time.time()),
            who=actor(),
            action=action,
            subject=subject[:_LONGEST],
            before=None if before is None else json.dumps(before, ensure_ascii=False),
            after=None if after is None else json.dumps(after, ensure_ascii=False),
        )
    )


def entries(
    database: Database, *, since: float = 0, before: int | None = None, last: int | None = None
) -> tuple[AuditLine, ...]:
    """The changes since a time, oldest first; of many, only the last so many.

    before: only those with a lower number.
    """
    query = select(audit).where(audit.c.at >= since).order_by(audit.c.number.desc()).limit(last)
    if before is not None:
        query = query.where(audit.c.number < before)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return tuple(
        AuditLine(
            row.number,
            row.at,
            row.who,
            row.action,
            row.subject,
            _read(row.before),
            _read(row.after),
        )
        for row in reversed(rows)
    )


def newest(database: Database) -> int:
    """The number of the last change: one that grew says that keys may have changed."""
    with database.read() as connection:
        return int(connection.execute(select(func.max(audit.c.number))).scalar() or 0)


def _read(text: str | None) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = None if text is None else json.loads(text)
    return found
