"""How soon answers began, hour by hour: for pictures of a day and a month."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import Annotated, Literal

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, Moment, operation
from infergate.ledger.ledger import node_in, node_of
from infergate.metrics.counted import BY_HOUR
from infergate.metrics.family import SUM
from infergate.metrics.steps import percentile_s
from infergate.store.metrics import read_metrics
from infergate.store.usage import SECONDS

_MONTH_S = 30 * 86400

By = Annotated[Literal["hour", "day"], Field(description="What to tell apart, in UTC.")]


class Began(Document):
    """Of one hour or day."""

    begun: int = Field(description="Unix seconds.")
    answers: int = Field(description="Good ones, of backends.")
    first_byte_p95_s: float = Field(description="95 % of them began sooner, within 8 %.")


class FirstBytes(Document):
    """Of this gateway, the oldest first; hours without an answer are left out."""

    since: int = Field(description="Unix seconds: when the first period began.")
    first_byte_p95_s: float | None = Field(description="Of all of them together.")
    items: list[Began]


@operation("GET", "/first-bytes")
def first_bytes(gateway: Gateway, *, by: By = "hour", since: Moment | None = None) -> FirstBytes:
    """How soon answers began, by hour or day; of the last 30 days, if no time is given. It is kept
    for 90 days."""
    step = SECONDS["h" if by == "hour" else "d"]
    began = int((time.time() - _MONTH_S if since is None else since) // step * step)
    found: dict[int, Counter[int]] = defaultdict(Counter)
    database = gateway.database
    node = node_in(database, node_of(gateway.home))
    for cell, number in read_metrics(database, node, (BY_HOUR.name,)):
        at = int(cell.labels[0]) // step * step
        if at >= began and cell.part != SUM:
            found[at][cell.part] += number
    together: Counter[int] = Counter()
    items = []
    for at, counts in sorted(found.items()):
        p95_s = percentile_s(counts, 0.95)
        if p95_s is not None:
            items.append(Began(begun=at, answers=counts.total(), first_byte_p95_s=p95_s))
            together.update(counts)
    return FirstBytes(since=began, first_byte_p95_s=percentile_s(together, 0.95), items=items)
