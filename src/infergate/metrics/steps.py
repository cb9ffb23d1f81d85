"""Times counted by steps, of which percentiles are made: each step is 15 % longer than the one
before, so half of that is the largest error."""

from __future__ import annotations

import math
from collections.abc import Mapping

_STEP = 1.15
_SHORTEST_S = 0.001
_STEPS = 100
"""From 1 ms to a quarter of an hour."""

BOUNDS_S = tuple(_SHORTEST_S * _STEP**step for step in range(_STEPS))
"""The upper ones; what is longer is in one step more."""


def step_of(seconds: float) -> int:
    """The step that it is counted in."""
    above = math.log(max(seconds, _SHORTEST_S) / _SHORTEST_S, _STEP)
    return min(_STEPS, math.ceil(above))


def percentile_s(counts: Mapping[int, int], part: float) -> float | None:
    """The time that `part` of them (0 to 1) stayed below; None where there are none."""
    total = sum(counts.values())
    if total == 0:
        return None
    wanted, seen = math.ceil(total * part), 0
    for step in sorted(counts):
        seen += counts[step]
        if seen >= wanted:
            return _SHORTEST_S * _STEP**step / math.sqrt(_STEP)
    return None
