"""Banned networks: who, until when, and why. Those that ran out are kept for a while, because who
is banned again is banned for longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from infergate.store.audit import note
from infergate.store.database import Database
from infergate.store.tables import bans

_REMEMBERED_S = 30 * 86400
_LONGEST_REASON = 256


@dataclass(frozen=True)
class Ban:
    """One ban. network: CIDR; since, until: Unix seconds, until None is for ever; times: how many
    there were of this network, this one included."""

    network: str
    since: int
    until: int | None
    reason: str
    times: int


def ban(database: Database, network: str, *, duration_s: float | None, reason: str) -> Ban:
    """Ban a network from now on; a ban that holds is replaced. None: for ever."""
    with database.write() as connection:
        return _put(connection, _known(connection, network), network, duration_s, reason)


def ban_anew(
    database: Database, network: str, duration_s: Callable[[int], float], *, reason: str
) -> Ban | None:
    """Ban a network, for longer the more often it was banned before.

    duration_s: seconds for who was banned so many times. Returns None, and changes nothing, if it
    is banned already: what it did before nginx knew of that is no second offence, and a gateway
    that shares the database may have been first.
    """
    with database.write() as connection:
        known = _known(connection, network)
        if known and (known.until is None or known.until > int(time.time())):
            return None
        lasts_s = duration_s(known.times if known else 0)
        return _put(connection, known, network, lasts_s, reason)


def _known(connection: Connection, network: str) -> Row[Any] | None:
    """Its last ban, over or not."""
    return connection.execute(select(bans).where(bans.c.network == network)).first()


def _put(
    connection: Connection,
    known: Row[Any] | None,
    network: str,
    duration_s: float | None,
    reason: str,
) -> Ban:
    now = int(time.time())
    until = None if duration_s is None else now + int(duration_s)
    made = Ban(network, now, until, reason[:_LONGEST_REASON], 1 + (known.times if known else 0))
    values = {name: value for name, value in vars(made).items() if name != "network"}
    if known:
        connection.execute(update(bans).where(bans.c.network == network).values(**values))
    else:
        connection.execute(insert(bans).values(network=network, **values))
    before = {"until": known.until, "reason": known.reason} if known else None
    after: dict[str, Any] = {"until": until, "reason": made.reason}
    note(connection, "ban.add", network, before=before, after=after)
    _forget(connection, now)
    return made


def unban(database: Database, network: str) -> bool:
    """Let it in again, and forget that it was banned; whether it was."""
    with database.write() as connection:
        gone = connection.execute(delete(bans).where(bans.c.network == network)).rowcount
        if gone:
            note(connection, "ban.remove", network)
    return bool(gone)


def active_bans(database: Database) -> tuple[Ban, ...]:
    """Those that hold now, the newest first."""
    holds = or_(bans.c.until.is_(None), bans.c.until > int(time.time()))
    with database.read() as connection:
        query = select(bans).where(holds).order_by(bans.c.since.desc(), bans.c.network)
        rows = connection.execute(query).all()
    return tuple(Ban(row.network, row.since, row.until, row.reason, row.times) for row in rows)


def _forget(connection: Connection, now: int) -> None:
    connection.execute(delete(bans).where(bans.c.until < now - _REMEMBERED_S))
