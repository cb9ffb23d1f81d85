"""Usage as rows for people and other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from infergate.config.budgets import NANO
from infergate.store.database import Database
from infergate.store.tables import keys
from infergate.store.usage import Period, Sums, usage_by

_CLOCKS = {"minute": "%Y-%m-%dT%H:%MZ", "hour": "%Y-%m-%dT%H:00Z", "day": "%Y-%m-%d"}


def report(
    database: Database,
    period: Period,
    since: int,
    until: int,
    fields: Sequence[str],
    declared_teams: Mapping[str, str],
) -> list[dict[str, Any]]:
    """A row for each combination of the fields, the largest first unless they are times.

    fields: of key, team, model, backend, minute, hour, day.
    declared_teams: of keys that are declared in the configuration, by their names.
    """
    clocks = [field for field in fields if field in _CLOCKS]
    asked = ["start"] * bool(clocks) + [f for f in ("key", "model", "backend") if f in fields]
    if "team" in fields and "key" not in fields:
        asked.append("key")
    teams = {**_teams(database), **declared_teams} if "team" in fields else {}
    sums: dict[tuple[Any, ...], list[int]] = {}
    for values, found in usage_by(database, period, since, until, asked):
        group: dict[str, Any] = dict(zip(asked, values, strict=True))
        for clock in clocks:
            group[clock] = datetime.fromtimestamp(group["start"], UTC).strftime(_CLOCKS[clock])
        group["team"] = teams.get(group.get("key", ""), "")
        known = sums.setdefault(tuple(group[field] for field in fields), [0] * len(found))
        for at, number in enumerate(found):
            known[at] += number
    rows = [
        {
            **dict(zip(fields, group, strict=True)),
            **Sums(*numbers)._asdict(),
            "cost": numbers[-1] / NANO,
        }
        for group, numbers in sums.items()
        if numbers[0]
    ]
    if not clocks:
        rows.sort(key=lambda row: -(row["prompt_tokens"] + row["completion_tokens"]))
    return rows


def _teams(database: Database) -> dict[str, str]:
    """By the keys' names; of several keys that had one name, the newest counts."""
    query = select(keys.c.name, keys.c.team).order_by(keys.c.number)
    with database.read() as connection:
        return {row.name: row.team or "" for row in connection.execute(query)}
