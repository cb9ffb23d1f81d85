"""What was counted for Prometheus, added to in the transaction that moves the checkpoint: so it is
as exact as usage, whenever a process dies."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from infergate.metrics.family import Labels
from infergate.store.database import Database
from infergate.store.tables import metrics
from infergate.store.usage import LARGEST_SUM, NAMES_AT_ONCE


class Cell(NamedTuple):
    """One number. part: of a histogram (metrics/family.py); 0 of a counter."""

    family: str
    labels: Labels
    part: int


def _add(mark: str) -> str:
    return (
        "INSERT INTO metrics (node, family, labels, part, value, updated_at) "  # noqa: S608 - our own
        f"VALUES ({', '.join([mark] * 6)}) "
        "ON CONFLICT (node, family, labels, part) DO UPDATE SET "
        f"value = CASE WHEN metrics.value < {LARGEST_SUM} - excluded.value "
        f"THEN metrics.value + excluded.value ELSE {LARGEST_SUM} END, "
        "updated_at = excluded.updated_at"
    )


_ADD = {"sqlite": _add("?"), "postgresql": _add("%s")}
"""As in usage.py."""


def add_metrics(connection: Connection, node: str, found: Mapping[Cell, int], now: float) -> None:
    """Add to what is there."""
    if found:
        rows = [
            (node, cell.family, _text(cell.labels), cell.part, min(value, LARGEST_SUM), int(now))
            for cell, value in found.items()
        ]
        connection.exec_driver_sql(_ADD[connection.dialect.name], sorted(rows))


def read_metrics(
    database: Database, node: str, families: Collection[str]
) -> Iterator[tuple[Cell, int]]:
    """All that was counted of these metrics. Raises StateError."""
    query = select(metrics.c.family, metrics.c.labels, metrics.c.part, metrics.c.value).where(
        metrics.c.node == node, metrics.c.family.in_(families)
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    for family, labels, part, value in rows:
        yield Cell(family, _read(labels), part), value


def largest(database: Database, node: str, family: str, at_most: int) -> list[Labels]:
    """The labels of a metric's largest numbers. Raises StateError."""
    query = (
        select(metrics.c.labels)
        .where(metrics.c.node == node, metrics.c.family == family)
        .order_by(metrics.c.value.desc(), metrics.c.labels)
        .limit(at_most)
    )
    with database.read() as connection:
        return [_read(labels) for labels in connection.execute(query).scalars()]


def read_some(
    database: Database, node: str, family: str, wanted: Sequence[Labels]
) -> dict[Labels, int]:
    """The numbers of a counter with these labels. Raises StateError."""
    texts = [_text(labels) for labels in wanted]
    found = {}
    with database.read() as connection:
        for at in range(0, len(texts), NAMES_AT_ONCE):
            query = select(metrics.c.labels, metrics.c.value).where(
                metrics.c.node == node,
                metrics.c.family == family,
                metrics.c.labels.in_(texts[at : at + NAMES_AT_ONCE]),
            )
            found.update({_read(row.labels): row.value for row in connection.execute(query)})
    return found


def labels_of(connection: Connection, node: str) -> Iterator[tuple[str, Labels]]:
    """Each family with each set of labels that it has."""
    query = select(metrics.c.family, metrics.c.labels).where(metrics.c.node == node).distinct()
    for family, labels in connection.execute(query):
        yield family, _read(labels)


def forget_metrics(connection: Connection, before: int) -> int:
    """Remove what has not grown since then, Unix seconds: models and backends that are gone, and
    gateways. Returns how many rows that were."""
    grown = metrics.alias()
    fresh = (
        select(grown.c.part)
        .where(
            grown.c.node == metrics.c.node,
            grown.c.family == metrics.c.family,
            grown.c.labels == metrics.c.labels,
            grown.c.updated_at >= before,
        )
        .exists()
    )
    return connection.execute(delete(metrics).where(~fresh)).rowcount


def _text(labels: Labels) -> str:
    return json.dumps(labels, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=16_384)
def _read(text: str) -> Labels:
    """Kept, because each scrape reads the same ones."""
    return tuple(json.loads(text))
