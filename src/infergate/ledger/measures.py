"""What one line adds to the metrics (metrics/counted.py), and which of them get a series of their
own: a model that comes when there are enough already is counted under metrics.family.OTHER.

Who has a series keeps it, because a counter that falls looks to Prometheus as if it began anew.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping

from infergate.contract.live import Why
from infergate.ledger.line import CACHE as FROM_CACHE
from infergate.ledger.line import Line
from infergate.metrics import counted as of
from infergate.metrics.family import SUM, Family, Labels
from infergate.metrics.operations import operation
from infergate.store.metrics import Cell
from infergate.store.usage import UsageGroup

TOKEN_TYPES = ("input", "output", "cache_read")


_WITHOUT_RETRIES = (Why.GOES_ON, Why.CONTINUES)
"""Where requests go besides without a second attempt."""


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
    """What lines add up to. They are many, and what tells them apart is little: so a line only adds
    to a sum or a list here, and what becomes of these is said once, by `found`."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._numbers: dict[tuple[str, Labels], int] = defaultdict(int)
        self._values: dict[tuple[str, Labels], list[int]] = defaultdict(list)

    def found(self) -> dict[Cell, int]:
        """The numbers to add to those that are stored."""
        cells: dict[Cell, int] = defaultdict(int)
        for (name, labels), number in self._numbers.items():
            if number:
                cells[Cell(name, self._measures.of(_FAMILIES[name], labels), 0)] += number
        for (name, labels), values in self._values.items():
            family = _FAMILIES[name]
            kept = self._measures.of(family, labels)
            bounds = _BOUNDS[name]
            for value in values:
                cells[Cell(name, kept, bisect_left(bounds, value))] += 1
            cells[Cell(name, kept, SUM)] += sum(values)
        return cells

    def add_blocked(self, blocked: tuple[str, str, str]) -> None:
        """One request of which a guardrail refused something."""
        self._numbers[of.BLOCKED.name, blocked] += 1

    def add(self, line: Line) -> None:
        """One request, but for what `add_sums` knows."""
        numbers, values, model, backend = self._numbers, self._values, line.model, line.backend
        status = _CLASSES[line.status // 100]
        if line.service:
            numbers[_SERVICES, (line.service, status)] += 1
        else:
            numbers[_REQUESTS, (model, backend, status, line.error)] += 1
        attempts = line.attempts
        for each in attempts:
            answered = _CLASSES[each.status // 100] if each.status else "none"
            numbers[_ATTEMPTS, (each.backend, answered)] += 1
        if not line.completed:
            numbers[of.INCOMPLETE.name, (model,)] += 1
        if line.cache:
            numbers[of.CACHE.name, (model, line.cache.lower())] += 1
        if line.status == 429 and (limit := _limit(line)) is not None:
            self._count(of.LIMITS, limit, 1)
        if not model:
            return
        values[_QUEUE, (model,)].append(line.queue_ms)
        if backend == "" or backend == FROM_CACHE:
            return
        if len(attempts) > 1 or any(each in line.why for each in _WITHOUT_RETRIES):
            self._rerouted(line)
        named = (model, operation(line.uri))
        values[_DURATION, named].append(line.duration_ms)
        if line.failed:
            return
        header_ms = attempts[-1].header_ms if attempts else None
        if line.begun_ms is not None:
            values[_BY_HOUR, (str(line.second // _HOUR_S * _HOUR_S),)].append(line.begun_ms)
        if header_ms is not None:
            values[_FIRST_BYTE, named].append(header_ms)
        if line.first_ms is not None:
            values[_FIRST_TOKEN, named].append(line.first_ms)
        if line.completion > 0:
            took_ms = line.duration_ms - line.queue_ms
            values[_TOKEN_TIME, named].append(round(took_ms * 1000 / line.completion))

    def add_sums(self, sums: Mapping[UsageGroup, list[int]]) -> None:
        """Tokens and money of the same lines: by day, as they are stored as usage."""
        for group, numbers in sums.items():
            if group.period != "d":
                continue
            requests, errors, prompt, completion, cached, _, _, cost = numbers
            tokens = (prompt, completion, cached)
            for kind, number in zip(TOKEN_TYPES, tokens, strict=True):
                self._count(of.TOKENS, (group.model, kind), number)
            self._count(of.COST, (group.model,), cost)
            if self._measures.keys and group.key:
                self._count(of.KEY_REQUESTS, (group.key,), requests)
                self._count(of.KEY_ERRORS, (group.key,), errors)
                self._count(of.KEY_COST, (group.key,), cost)
                for kind, number in zip(TOKEN_TYPES, tokens, strict=True):
                    self._count(of.KEY_TOKENS, (group.key, kind), number)

    def _rerouted(self, line: Line) -> None:
        """`why` has what njs/hedging.js, njs/relay.js and njs/continued.js write."""
        hedged, fallbacks = line.why.count(Why.ASKED_TOO), line.why.count(Why.GOES_ON)
        retries = len(line.attempts) - 1 - hedged
        kinds = {"retry": retries, "fallback": fallbacks, "hedge": hedged}
        kinds["continue"] = line.why.count(Why.CONTINUES)
        for kind, number in kinds.items():
            if number > 0:
                self._count(of.REROUTES, (line.model, kind), number)

    def _count(self, family: Family, labels: Labels, number: int) -> None:
        self._numbers[family.name, labels] += number


_OVER = re.compile(
    rf"{Why.OVER}[\d.e+]+ (requests|tokens) (per|at)[a-z ]+"
    rf" of ({Why.THIS_KEY}|{Why.THIS_MODEL}|{Why.THIS_GATEWAY});"
)
"""What njs/over.js writes into `why`."""
_OWNERS: Mapping[str, str] = {
    Why.THIS_KEY: "key",
    Why.THIS_MODEL: "model",
    Why.THIS_GATEWAY: "gateway",
}
_BY_ERROR = {
    "insufficient_quota": ("budget", "key"),
    "queue_full": ("queue", "model"),
    "invalid_request": ("address", "gateway"),  # with 429: njs/refusal.js
}


def _limit(line: Line) -> Labels | None:
    """Which limit refused it, and whose; None where it was none of ours."""
    if line.backend or line.error in _BY_ERROR:
        return _BY_ERROR.get(line.error)
    found = _OVER.findall(line.why)
    if not found:
        return None
    what, how, owner = found[-1]
    return "concurrent" if how == "at" else what, _OWNERS[owner]


_FAMILIES = {family.name: family for family in (*of.COUNTED, *of.OF_KEYS, of.BY_HOUR)}
_BOUNDS = {
    name: [bound * family.scale for bound in family.bounds] for name, family in _FAMILIES.items()
}
_CLASSES = [f"{digit}xx" for digit in range(10)]

# What every line adds to: to look a name up in two steps costs it a tenth of its time.
_REQUESTS, _SERVICES, _ATTEMPTS = of.REQUESTS.name, of.SERVICES.name, of.ATTEMPTS.name
_QUEUE, _DURATION = of.QUEUE.name, of.DURATION.name
_FIRST_BYTE, _TOKEN_TIME = of.FIRST_BYTE.name, of.TOKEN_TIME.name
_FIRST_TOKEN, _BY_HOUR = of.FIRST_TOKEN.name, of.BY_HOUR.name
_HOUR_S = 3600
