"""What is going on now: for pages and terminals that are looked at."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from infergate.admin.activity import MINUTES, Minute, activity_of
from infergate.admin.gateway import Gateway
from infergate.admin.operation import After, Document, operation
from infergate.errors import StateError
from infergate.live.shared_memory import read
from infergate.metrics.steps import percentile_s

_NOW_MINUTES = 2
"""What is said of now is of the minute that goes on and the one before: less would jump."""
_MOST_NEW = 200


class ModelNow(Document):
    """What one model did lately."""

    model: str = Field(description="Empty for requests that named none.")
    requests_per_s: float = Field(description="Of the last minute or two.")
    tokens_per_s: float = Field(description="Of answers, of the last minute or two.")
    first_byte_p95_s: float | None = Field(
        description="95 % of the last hour's good answers began sooner, within 8 %."
    )
    requests: int = Field(description="In the last hour.")
    errors: int = Field(description="Of these, answered with 400 or above.")
    waiting: int = Field(description="In the queue, now.")


class MinuteOf(Document):
    """One minute, of all models together."""

    begun: int = Field(description="Unix seconds.")
    requests: int
    errors: int
    output_tokens: int
    first_byte_p95_s: float | None


class LiveNow(Document):
    """What is going on. `next`: `after` of the following question."""

    at: float = Field(description="Unix seconds.")
    since: float = Field(description="Since when the log was read; an hour at most is counted.")
    running: bool = Field(description="Whether nginx answers us.")
    waiting: int
    in_flight: dict[str, int] = Field(description="By backend.")
    models: list[ModelNow]
    minutes: list[MinuteOf] = Field(description="Those in which something was asked.")
    requests: list[dict[str, Any]] = Field(
        description="Lines of the access log that are new, the newest first; at most 200."
    )
    next: int


@operation("GET", "/live")
def live(gateway: Gateway, *, after: After = 0) -> LiveNow:
    """Requests of the last hour by model and minute, what waits, and the newest lines of the log.

    The first question reads the last 8 MiB of the log; `since` says how far back that is.
    """
    now = time.time()
    activity = activity_of(gateway.home.access_log)
    minutes = activity.look(now)
    try:
        state = read(gateway.home.socket)
    except StateError:
        state = None
    waiting = dict(state.waiting_by_model) if state else {}
    new: list[dict[str, Any]] = []
    newest = after
    for seen in activity.newest():
        newest = max(newest, seen.number)
        if seen.number <= after or len(new) >= _MOST_NEW:
            break
        new.append(dict(seen.entry))
    return LiveNow(
        at=now,
        since=max(activity.since, now - MINUTES * 60),
        running=state is not None,
        waiting=state.waiting if state else 0,
        in_flight=dict(state.in_flight) if state else {},
        models=_models(minutes, waiting, now),
        minutes=[_minute(begun, minutes[begun]) for begun in sorted(minutes)],
        requests=new,
        next=newest,
    )


def _models(
    minutes: Mapping[int, Mapping[str, Minute]], waiting: Mapping[str, int], now: float
) -> list[ModelNow]:
    begun_since = (int(now) // 60 - (_NOW_MINUTES - 1)) * 60
    seconds = max(1.0, now - begun_since)
    names = {name for models in minutes.values() for name in models}
    names.update(name for name, count in waiting.items() if count > 0)
    found = []
    for name in sorted(names):
        own = {begun: models[name] for begun, models in minutes.items() if name in models}
        lately = [each for begun, each in own.items() if begun >= begun_since]
        first = _together(own.values())
        found.append(
            ModelNow(
                model=name,
                requests_per_s=sum(each.requests for each in lately) / seconds,
                tokens_per_s=sum(each.output_tokens for each in lately) / seconds,
                first_byte_p95_s=percentile_s(first, 0.95),
                requests=sum(each.requests for each in own.values()),
                errors=sum(each.errors for each in own.values()),
                waiting=waiting.get(name, 0),
            )
        )
    return found


def _minute(begun: int, models: Mapping[str, Minute]) -> MinuteOf:
    every = list(models.values())
    return MinuteOf(
        begun=begun,
        requests=sum(each.requests for each in every),
        errors=sum(each.errors for each in every),
        output_tokens=sum(each.output_tokens for each in every),
        first_byte_p95_s=percentile_s(_together(every), 0.95),
    )


def _together(minutes: Iterable[Minute]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for each in minutes:
        for step, count in each.first_s.items():
            counts[step] = counts.get(step, 0) + count
    return counts
