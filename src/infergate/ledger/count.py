"""Lines of the log as sums by minute, hour and day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from infergate.config.usage import Price
from infergate.ledger.line import Line, read_line
from infergate.ledger.measures import Cells, Measures
from infergate.store.metrics import Cell
from infergate.store.old_names import NONE, OldNameCalls, OldNameGroup
from infergate.store.usage import SECONDS, Period, UsageGroup

Prices = Callable[[str], Price | None]
"""A model's price, if it has one."""

_PERIODS: tuple[Period, ...] = ("m", "h", "d")


@dataclass
class Counted:
    """What some lines add up to. sums: in the order of store.usage.Sums. cells: for Prometheus
    (measures.py)."""

    lines: int = 0
    unreadable: int = 0
    cells: dict[Cell, int] = field(default_factory=dict)
    sums: dict[UsageGroup, list[int]] = field(default_factory=dict)
    old_names: dict[OldNameGroup, OldNameCalls] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)


def count(
    text: str, prices: Prices, measures: Measures, saw: Callable[[Line], None] = lambda _: None
) -> Counted:
    """The sums of whole lines; saw: is told of each."""
    counted = Counted()
    cells = Cells(measures)
    minutes: dict[tuple[int, str, str, str], list[int]] = {}
    for each in text.split("\n"):
        if not each:
            continue
        counted.lines += 1
        line = read_line(each)
        if line is None:
            counted.unreadable += 1
            continue
        if line.blocked is not None:
            cells.add_blocked(line.blocked)
        if line.handed:  # what it asked for has lines of its own
            continue
        second, key, model, backend, failed, prompt, completion, cached, estimated, took_ms = line[
            :10
        ]
        saw(line)
        cells.add(line)
        if line.old_name is not None:
            asked = OldNameGroup(line.old_name.name, key, line.old_name.client)
            counted.old_names[asked] = counted.old_names.get(asked, NONE).and_one(second)
        group = (second // 60, key, model, backend)
        sums = minutes.get(group)
        if sums is None:
            sums = minutes[group] = [0] * 9
        sums[0] += 1
        sums[1] += failed
        sums[2] += prompt
        sums[3] += completion
        sums[4] += cached
        sums[5] += estimated
        sums[6] += took_ms
        if line.answered:  # what these two add up to is paid for, and not kept
            sums[7] += 1
            sums[8] += took_ms - line.queue_ms
    counted.sums = _by_period(minutes, prices)
    cells.add_sums(counted.sums)
    counted.cells = cells.found()
    counted.keys = {key for _, key, _, _ in minutes}
    return counted


def _by_period(
    minutes: Mapping[tuple[int, str, str, str], list[int]], prices: Prices
) -> dict[UsageGroup, list[int]]:
    found: dict[UsageGroup, list[int]] = {}
    for (minute, key, model, backend), sums in minutes.items():
        price = prices(model)
        # Exact for the sum too: a price is linear, and no request has more cached than it has.
        cost = 0 if price is None else price.nano(*sums[2:5], *sums[7:9])
        for period in _PERIODS:
            seconds = SECONDS[period]
            group = UsageGroup(period, minute * 60 // seconds * seconds, key, model, backend)
            known = found.setdefault(group, [0] * 8)
            for at, number in enumerate((*sums[:7], cost)):
                known[at] += number
    return found
