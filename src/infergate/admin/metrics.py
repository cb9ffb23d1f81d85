"""Numbers for Prometheus, and for whoever draws them: what is counted, and what is now."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated

from pydantic import Field
from sqlalchemy import select

from infergate.admin.gateway import Gateway
from infergate.admin.metrics_live import live
from infergate.admin.operation import Document, operation
from infergate.errors import StateError
from infergate.ledger.ledger import node_in, node_of
from infergate.ledger.measures import TOKEN_TYPES
from infergate.metrics import counted as of
from infergate.metrics.exposition import exposition
from infergate.metrics.family import Family, Kind, Labels, Measured, Sample, distributed, measured
from infergate.store.metrics import largest, read_metrics, read_some
from infergate.store.tables import keys as keys_table

_PREFIX = Annotated[
    str,
    Field(max_length=100, description="How the names begin of those that are wanted; all."),
]


class MetricSample(Document):
    """One number of a metric."""

    labels: dict[str, str] = Field(description="`le` is a bucket's upper bound.")
    value: float
    part: str = Field(description="_bucket, _sum or _count of a histogram or summary; else empty.")


class MetricFamily(Document):
    """One metric (docs/metrics.md)."""

    name: str
    kind: Kind
    meaning: str
    convention: str = Field(description="OpenTelemetry's name, if it is one of its conventions.")
    samples: list[MetricSample]


class MetricsText(Document):
    """What /metrics tells Prometheus, as JSON."""

    at: float = Field(description="Unix seconds.")
    conventions: str = Field(description="The version of OpenTelemetry's GenAI conventions.")
    items: list[MetricFamily]


@operation("GET", "/metrics")
def metrics(gateway: Gateway, *, prefix: _PREFIX = "") -> MetricsText:
    """Counters over all restarts, histograms, and what is now: the numbers of /metrics, whose
    names docs/metrics.md has."""
    return MetricsText(
        at=time.time(),
        conventions=of.CONVENTIONS,
        items=[
            MetricFamily(
                name=each.family.name,
                kind=each.family.kind,
                meaning=each.family.meaning,
                convention=each.family.convention,
                samples=[
                    MetricSample(labels=dict(one.labels), value=one.value, part=one.suffix)
                    for one in each.samples
                ],
            )
            for each in all_metrics(gateway)
            if each.family.name.startswith(prefix)
        ],
    )


def text(gateway: Gateway) -> str:
    """All of them as Prometheus reads them."""
    return exposition(all_metrics(gateway))


def as_text(said: MetricsText) -> str:
    """The same of what the operation answered, here or elsewhere."""
    return exposition(
        Measured(
            Family(each.name, each.kind, each.meaning),
            tuple(Sample(tuple(one.labels.items()), one.value, one.part) for one in each.samples),
        )
        for each in said.items
    )


def all_metrics(gateway: Gateway) -> Iterator[Measured]:
    """What is counted, then what is now. Where the database is away there is no more of the first:
    a counter that is not there is a gap, one that fell would be a wrong rate."""
    with contextlib.suppress(StateError):
        yield from _counted(gateway)
    yield from live(gateway, version("infergate"))


def _counted(gateway: Gateway) -> Iterator[Measured]:
    families = {each.name: each for each in of.COUNTED}
    numbers: dict[str, dict[Labels, int]] = defaultdict(dict)
    parts: dict[str, dict[Labels, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    database = gateway.database
    node = node_in(database, node_of(gateway.home))
    for cell, value in read_metrics(database, node, families):
        if families[cell.family].bounds:
            parts[cell.family][cell.labels][cell.part] = value
        else:
            numbers[cell.family][cell.labels] = value
    for family in of.COUNTED:
        if family.bounds:
            yield distributed(family, parts[family.name])
        else:
            yield measured(family, numbers[family.name])
    yield from _of_keys(gateway, node)


def _of_keys(gateway: Gateway, node: str) -> Iterator[Measured]:
    """Of those with the most requests, with the team that each is in now."""
    at_most = gateway.loaded.config.metrics.keys
    if not at_most:
        return
    database = gateway.database
    keys = largest(database, node, of.KEY_REQUESTS.name, at_most)
    teams = _teams(gateway)
    for family in of.OF_KEYS:
        types = TOKEN_TYPES if of.TOKEN in family.labels else (None,)
        wanted = [(*key, kind) if kind else key for key in keys for kind in types]
        found = read_some(database, node, family.name, wanted)
        named = {(key, teams.get(key, ""), *more): n for (key, *more), n in found.items()}
        yield measured(family, named)


def _teams(gateway: Gateway) -> dict[str, str]:
    declared = gateway.loaded.config.auth.keys
    found = {name: key.team for name, key in declared.items() if key.team}
    query = select(keys_table.c.name, keys_table.c.team).where(keys_table.c.team.is_not(None))
    with gateway.database.read() as connection:
        found |= {row.name: row.team for row in connection.execute(query)}
    return found
