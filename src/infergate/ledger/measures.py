"""What one line adds to the metrics (metrics/counted.py), and which of them get a series of their
own: a model that comes when there are enough already is counted under metrics.family.OTHER.

Who has a series keeps it, because a counter that falls looks to Prometheus as if it began anew.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping

from infergate.ledger.line import CACHE as FROM_CACHE
from infergate.ledger.line import Line
from infergate.metrics import counted as of
from infergate.metrics.family import SUM, Family, Labels
from infergate.metrics.operations import operation
from infergate.store.metrics import Cell
from infergate.store.usage import Group

_TYPES = ("input", "output", "cache_read")


class Measures:
    """Which sets of labels have a series, and whether keys are counted.

    Of one gateway, for as long as it counts: what was given a series has it, also if the
    transaction failed that would have stored it, because the same lines come again.
    """

    def __init__(self, known: Iterable[tuple[str, Labels]] = (), *, keys: bool = False) -> None:
        """known: those that are stored."""
        self.keys = keys
        self._known: dict[str, set[Labels]] = defaultdict(set)
        for family, labels in known:
            self._known[family].add(labels)

    def of(self, family: Family, labels: Labels) -> Labels:
        """The labels it is counted under."""
        known = self._known[family.name]
        if labels in known:
            return labels
        if family.at_most and len(known) >= family.at_most:
            return family.folded(labels)
        known.add(labels)
        return labels


class Cells:
    """What lines add up to. found: the numbers to add to those that are stored."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self.found: dict[Cell, int] = defaultdict(int)

    def add(self, line: Line) -> None:
        """One request, but for what `add_sums` knows."""
        model = line.model
        status = _class(line.status)
        if line.service:
            self._count(of.SERVICES, (line.service, status))
        else:
            self._count(of.REQUESTS, (model, line.backend, status, line.error))
        for each in line.attempts:
            self._count(of.ATTEMPTS, (each.backend, _class(each.status) if each.status else "none"))
        if not line.completed:
            self._count(of.INCOMPLETE, (model,))
        if line.cache:
            self._count(of.CACHE, (model, line.cache.lower()))
        if not model:
            return
        self._measure(of.QUEUE, (model,), line.queue_ms)
        if line.backend in ("", FROM_CACHE):
            return
        self._rerouted(line)
        named = (model, operation(line.uri))
        self._measure(of.DURATION, named, line.duration_ms)
        if line.failed:
            return
        last = line.attempts[-1] if line.attempts else None
        if last is not None and last.header_ms is not None:
            self._measure(of.FIRST_BYTE, named, last.header_ms)
        if line.completion > 0:
            took_ms = line.duration_ms - line.queue_ms
            self._measure(of.TOKEN_TIME, named, round(took_ms * 1000 / line.completion))

    def add_sums(self, sums: Mapping[Group, list[int]]) -> None:
        """Tokens and money of the same lines: by day, as they are stored as usage."""
        for group, numbers in sums.items():
            if group.period != "d":
                continue
            requests, errors, prompt, completion, cached, _, _, cost = numbers
            tokens = (prompt, completion, cached)
            for kind, number in zip(_TYPES, tokens, strict=True):
                self._count(of.TOKENS, (group.model, kind), number)
            self._count(of.COST, (group.model,), cost)
            if self._measures.keys and group.key:
                self._count(of.KEY_REQUESTS, (group.key,), requests)
                self._count(of.KEY_ERRORS, (group.key,), errors)
                self._count(of.KEY_COST, (group.key,), cost)
                for kind, number in zip(_TYPES, tokens, strict=True):
                    self._count(of.KEY_TOKENS, (group.key, kind), number)

    def _rerouted(self, line: Line) -> None:
        """`why` has what njs/hedging.js and njs/relay.js write."""
        hedged, fallbacks = line.why.count(" too after "), line.why.count("-> ")
        retries = len(line.attempts) - 1 - hedged
        for kind, number in (("retry", retries), ("fallback", fallbacks), ("hedge", hedged)):
            if number > 0:
                self._count(of.REROUTES, (line.model, kind), number)

    def _count(self, family: Family, labels: Labels, number: int = 1) -> None:
        if number:
            self.found[Cell(family.name, self._measures.of(family, labels), 0)] += number

    def _measure(self, family: Family, labels: Labels, value: int) -> None:
        labels = self._measures.of(family, labels)
        at = bisect_left(_bounds(family), value)
        self.found[Cell(family.name, labels, at)] += 1
        self.found[Cell(family.name, labels, SUM)] += value


_BOUNDS = {
    family.name: [bound * family.scale for bound in family.bounds]
    for family in of.COUNTED
    if family.bounds
}


def _bounds(family: Family) -> list[float]:
    return _BOUNDS[family.name]


def _class(status: int) -> str:
    return f"{status // 100}xx"
