"""What was counted for Prometheus, added to in the transaction that moves the checkpoint: so it is
as exact as usage, whenever a process dies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, text

from infergate.metrics.family import Labels
from infergate.store.database import Database
from infergate.store.tables import metrics
from infergate.store.usage import LARGEST_SUM


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


def read_metrics(database: Database, node: str) -> Iterator[tuple[Cell, int]]:
    """All that was counted. Raises StateError."""
    query = text("SELECT family, labels, part, value FROM metrics WHERE node = :node")
    with database.read() as connection:
        rows = connection.execute(query, {"node": node}).all()
    # By family and labels, because a histogram's are twenty in a row.
    known: dict[str, Labels] = {}
    for family, labels, part, value in rows:
        read = known.get(labels)
        if read is None:
            read = known[labels] = tuple(json.loads(labels))
        yield Cell(family, read, part), value


def labels_of(connection: Connection, node: str) -> Iterator[tuple[str, Labels]]:
    """Each family with each set of labels that it has."""
    query = select(metrics.c.family, metrics.c.labels).where(metrics.c.node == node).distinct()
    for family, labels in connection.execute(query):
        yield family, tuple(json.loads(labels))


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
