"""Who used how much of what."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import After, Document, Limit, Moment, operation
from infergate.config.usage import Keep
from infergate.store.report import by_cache, report
from infergate.store.usage import SECONDS, Period

FIELDS = ("key", "team", "model", "backend", "minute", "hour", "day")
_ANY = "|".join(FIELDS)
_MONTH_S = 30 * 86400

By = Annotated[
    str,
    Field(
        pattern=f"^(({_ANY})(,({_ANY}))*)?$",
        max_length=100,
        description="What to tell apart, separated by commas; nothing gives the total.",
    ),
]


Only = Annotated[
    str | None, Field(max_length=256, description="Count only what has exactly this one.")
]

Cache = Annotated[
    bool,
    Field(
        description="Only what read prompts, with `cached_share`; what read most that was in no "
        "backend's cache comes first, unless it is told apart by time."
    ),
]


class UsagePage(Document):
    """Sums, the largest first unless they are told apart by time; `next` counts rows."""

    since: int = Field(description="Unix seconds: when the first period began.")
    until: int
    currency: str = Field(description="What `cost` is in.")
    items: list[dict[str, Any]]
    next: int | None


@operation("GET", "/usage")
def usage(
    gateway: Gateway,
    *,
    by: By = "key,model",
    since: Moment | None = None,
    until: Moment | None = None,
    key: Only = None,
    team: Only = None,
    model: Only = None,
    backend: Only = None,
    cache: Cache = False,
    after: After = 0,
    limit: Limit = 100,
) -> UsagePage:
    """Requests, tokens and money by key, team, model, backend or time; of the last 30 days, if no
    time is given."""
    config, now = gateway.loaded.config, time.time()
    fields = list(dict.fromkeys(field for field in by.split(",") if field))
    begin = now - _MONTH_S if since is None else since
    end = int(now) if until is None else until
    period = _period(fields, begin, now, config.usage.keep)
    step = SECONDS[period]
    began = int(begin // step * step)
    teams = {name: key.team for name, key in config.auth.keys.items() if key.team}
    given = {"key": key, "team": team, "model": model, "backend": backend}
    only = {field: value for field, value in given.items() if value is not None}
    rows = report(gateway.database, period, began, end + 1, fields, teams, only)
    if cache:
        rows = by_cache(rows)
    return UsagePage(
        since=began,
        until=end,
        currency=config.usage.currency,
        items=rows[after : after + limit],
        next=after + limit if len(rows) > after + limit else None,
    )


def _period(fields: Collection[str], begin: float, now: float, keep: Keep) -> Period:
    """The finest that was kept for so long, unless days or hours are asked for."""
    if "minute" in fields:
        return "m"
    if "hour" in fields:
        return "h"
    if "day" in fields:
        return "d"
    return "m" if begin > now - keep.minutes else "h" if begin > now - keep.hours else "d"
