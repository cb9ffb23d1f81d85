"""Usage by the minute, hour and day, added to in the transaction that moves the checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Float, cast, delete, func, select

from infergate.store.database import Database
from infergate.store.tables import usage

Period = Literal["m", "h", "d"]
SECONDS: Mapping[Period, int] = {"m": 60, "h": 3600, "d": 86400}

NAMES_AT_ONCE = 500
"""Names in one query: SQLite takes 32,766 values, and a plan for many is slow to make."""


class Sums(NamedTuple):
    """What was used.

    errors: requests answered with 400 or above. estimated: those whose tokens were counted by the
    gateway because the backend did not tell. cost: billionths of the currency's unit.
    """

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: int = 0
    duration_ms: int = 0
    cost: int = 0


class UsageGroup(NamedTuple):
    """What sums belong to. start: when the period began, Unix seconds."""

    period: Period
    start: int
    key: str
    model: str
    backend: str


LARGEST_SUM = 2**53
"""A sum that would be larger is this one: what a float still holds exactly, and far from what a
column does not hold. A backend can tell any number, and none may end counting."""

_COLUMNS = (*UsageGroup._fields, *Sums._fields)


def _add(mark: str) -> str:
    return (
        f"INSERT INTO usage ({', '.join(_COLUMNS)}) VALUES ({', '.join([mark] * len(_COLUMNS))}) "  # noqa: S608 - our own names
        f"ON CONFLICT ({', '.join(UsageGroup._fields)}) DO UPDATE SET "
        + ", ".join(
            f"{name} = CASE WHEN usage.{name} < {LARGEST_SUM} - excluded.{name} "
            f"THEN usage.{name} + excluded.{name} ELSE {LARGEST_SUM} END"
            for name in Sums._fields
        )
    )


_ADD = {"sqlite": _add("?"), "postgresql": _add("%s")}
"""In the drivers' own words: SQLAlchemy's would cost as much as the database itself."""


def _sum(numbers: ColumnElement[int]) -> ColumnElement[float]:
    """SQLite's sum of integers is an error where it is too large."""
    return func.coalesce(func.sum(cast(numbers, Float)), 0)


def add_usage(connection: Connection, found: Mapping[UsageGroup, Sequence[int]]) -> None:
    """Add sums to what is there."""
    if found:
        # Sorted, so that two gateways that share a database never wait for each other in a circle.
        rows = [
            (*group, *(min(number, LARGEST_SUM) for number in found[group]))
            for group in sorted(found)
        ]
        connection.exec_driver_sql(_ADD[connection.dialect.name], rows)


def rename_usage(database: Database, key: str, now: str) -> None:
    """What is counted for a key is counted for it under another name from now on."""
    of_it = usage.c.key == key
    with database.write() as connection:
        rows = connection.execute(select(usage).where(of_it)).mappings().all()
        connection.execute(delete(usage).where(of_it))
        found = {
            UsageGroup(**{name: row[name] for name in UsageGroup._fields} | {"key": now}): Sums(
                **{name: row[name] for name in Sums._fields}
            )
            for row in rows
        }
        add_usage(connection, found)


@dataclass(frozen=True)
class Spent:
    """What counts against budgets. requests: those that were answered; cost: in billionths."""

    requests: int
    tokens: int
    cost: int


def spent(
    connection: Connection, period: Period, since: int, names: Collection[str]
) -> dict[str, Spent]:
    """What each of these keys has used since then, by their names; nothing of those that did not.

    since: Unix seconds, the start of a period.
    """
    found: dict[str, Spent] = {}
    ordered = sorted(names)
    for at in range(0, len(ordered), NAMES_AT_ONCE):
        query = (
            select(
                usage.c.key,
                _sum(usage.c.requests - usage.c.errors),
                _sum(usage.c.prompt_tokens + usage.c.completion_tokens),
                _sum(usage.c.cost),
            )
            .where(usage.c.period == period, usage.c.start >= since)
            .where(usage.c.key.in_(ordered[at : at + NAMES_AT_ONCE]))
            .group_by(usage.c.key)
        )
        for name, requests, tokens, cost in connection.execute(query):
            found[name] = Spent(int(requests), int(tokens), int(cost))
    return found


def usage_by(
    database: Database,
    period: Period,
    since: int,
    until: int,
    fields: Sequence[str],
    only: Mapping[str, str] | None = None,
) -> list[tuple[tuple[str | int, ...], Sums]]:
    """Sums from since to before until, for each combination of the fields, which are names of
    Group; in the fields' order.

    since, until: Unix seconds. only: field → the one value of it that counts.
    """
    columns = [usage.c[field] for field in fields]
    sums = [_sum(usage.c[name]) for name in Sums._fields]
    query = (
        select(*columns, *sums)
        .where(usage.c.period == period, usage.c.start >= since, usage.c.start < until)
        .where(*(usage.c[field] == value for field, value in (only or {}).items()))
        .group_by(*columns)
        .order_by(*columns)
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    count = len(columns)
    return [(tuple(row[:count]), Sums(*(int(number) for number in row[count:]))) for row in rows]


def forget_usage(connection: Connection, period: Period, before: int) -> int:
    """Remove what is older; returns how many rows."""
    old = delete(usage).where(usage.c.period == period, usage.c.start < before)
    return connection.execute(old).rowcount
