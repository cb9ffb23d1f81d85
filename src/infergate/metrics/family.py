"""What one metric is, and what it says at a moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

OTHER = "(other)"
"""Stands for what has no series of its own, because there would be too many: no model, backend or
service can have this name."""

Kind = Literal["counter", "gauge", "histogram", "summary"]

Labels = tuple[str, ...]
"""Values, in the order of the family's labels."""

SUM = -1
"""The part of a histogram that is the sum of what was measured; the others are its buckets."""


@dataclass(frozen=True)
class Family:
    """One metric.

    name: as Prometheus has it. convention: OpenTelemetry's name, if it is one of theirs.
    meaning: one sentence, for HELP and for docs/metrics.md.
    closed: labels that have a few values of their own; what is in the others folds to OTHER when
        there would be more than at_most sets of labels (0: whatever bounds them is elsewhere).
    bounds: upper ones of a histogram's buckets.
    scale: what is counted in whole numbers is divided by it; 1000 for milliseconds.
    """

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    convention: str = ""
    closed: frozenset[str] = frozenset()
    at_most: int = 0
    bounds: tuple[float, ...] = ()
    scale: int = 1

    def folded(self, labels: Labels) -> Labels:
        """The labels of what has no series of its own."""
        return tuple(
            value if name in self.closed or value == "" else OTHER
            for name, value in zip(self.labels, labels, strict=True)
        )


class Sample(NamedTuple):
    """One line of the exposition. suffix: _bucket, _sum or _count, or nothing."""

    labels: tuple[tuple[str, str], ...]
    value: float
    suffix: str = ""


@dataclass(frozen=True)
class Measured:
    """A metric, and what it says now."""

    family: Family
    samples: tuple[Sample, ...]


def measured(family: Family, values: Mapping[Labels, float | None]) -> Measured:
    """A counter or gauge. None, or what is no number: it is not known, so there is no series."""
    return Measured(
        family,
        tuple(
            Sample(tuple(zip(family.labels, labels, strict=True)), value / family.scale)
            for labels, value in values.items()
            if value is not None and math.isfinite(value)
        ),
    )


def one(family: Family, value: float | None) -> Measured:
    """A metric without labels."""
    return measured(family, {(): value})


def averaged(family: Family, values: Mapping[Labels, tuple[float, float] | None]) -> Measured:
    """A summary: the sum of what was measured, and how often it was."""
    samples = []
    for labels, told in values.items():
        if told is not None:
            named = tuple(zip(family.labels, labels, strict=True))
            samples += [Sample(named, told[0], "_sum"), Sample(named, told[1], "_count")]
    return Measured(family, tuple(samples))


def distributed(family: Family, values: Mapping[Labels, Mapping[int, int]]) -> Measured:
    """A histogram. values: labels → part → how many, and at SUM what they add up to."""
    return Measured(
        family,
        tuple(
            each
            for labels, parts in values.items()
            for each in _histogram(
                family.bounds,
                tuple(zip(family.labels, labels, strict=True)),
                parts,
                family.scale,
            )
        ),
    )


def _histogram(
    bounds: Sequence[float],
    labels: tuple[tuple[str, str], ...],
    parts: Mapping[int, int],
    scale: int,
) -> Iterator[Sample]:
    count = 0
    for at, bound in enumerate((*map(_number, bounds), "+Inf")):
        count += parts.get(at, 0)
        yield Sample((*labels, ("le", bound)), count, "_bucket")
    yield Sample(labels, parts.get(SUM, 0) / scale, "_sum")
    yield Sample(labels, count, "_count")


def _number(value: float) -> str:
    return repr(float(value))
