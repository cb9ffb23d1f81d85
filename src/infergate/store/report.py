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
    only: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """A row for each combination of the fields, the largest first unless they are times.

    fields: of key, team, model, backend, minute, hour, day.
    declared_teams: of keys that are declared in the configuration, by their names.
    only: key, team, model, backend → the one that counts.
    """
    only = dict(only or {})
    team = only.pop("team", None)
    clocks = [field for field in fields if field in _CLOCKS]
    asked = ["start"] * bool(clocks) + [f for f in ("key", "model", "backend") if f in fields]
    by_team = "team" in fields or team is not None
    if by_team and "key" not in fields:
        asked.append("key")
    teams = {**_teams(database), **declared_teams} if by_team else {}
    sums: dict[tuple[Any, ...], list[int]] = {}
    for values, found in usage_by(database, period, since, until, asked, only):
        group: dict[str, Any] = dict(zip(asked, values, strict=True))
        for clock in clocks:
            group[clock] = datetime.fromtimestamp(group["start"], UTC).strftime(_CLOCKS[clock])
        group["team"] = teams.get(group.get("key", ""), "")
        if team is not None and group["team"] != team:
            continue
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


def by_cache(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `report` that have prompts, each with `cached_share`: which part of their tokens came
    from the backends' caches, 0 to 1. Those with most that did not come first, but times in order.
    """
    found = [
        {**row, "cached_share": cached_share(row["prompt_tokens"], row["cached_tokens"])}
        for row in rows
        if row["prompt_tokens"]
    ]
    if not any(clock in row for row in found for clock in _CLOCKS):
        found.sort(key=lambda row: row["cached_tokens"] - row["prompt_tokens"])
    return found


def cached_share(prompt_tokens: int, cached_tokens: int) -> float:
    """Of a prompt that is not empty; four places."""
    return round(cached_tokens / prompt_tokens, 4)


def _teams(database: Database) -> dict[str, str]:
    """By the keys' names; of several keys that had one name, the newest counts."""
    query = select(keys.c.name, keys.c.team).order_by(keys.c.number)
    with database.read() as connection:
        return {row.name: row.team or "" for row in connection.execute(query)}
