"""The state of a backend, put together from its probes and its work. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from infergate.health.tracker import Track
from infergate.health.vitals import Vitals

State = Literal["up", "slow", "draining", "down", "hung", "unknown"]
"""up       it gets requests
slow      it gets requests, but others are preferred
draining  an operator took it out; it finishes what it has
down      its probes fail, or requests to it do
hung      its probes are fine, but it has requests and produces nothing
unknown   it was not probed yet"""

SERVING: frozenset[State] = frozenset({"up", "slow"})


@dataclass(frozen=True)
class Condition:
    """What a backend's health is now.

    reason: in plain words, and without numbers that change from probe to probe.
    since: when the state began, in Unix seconds.
    """

    state: State
    reason: str
    since: float


def judge(
    before: Condition,
    track: Track,
    vitals: Vitals,
    *,
    hung_after_s: float,
    clock: float,
    now: float,
) -> Condition:
    """The condition after a probe.

    hung_after_s: 0 means never. clock: the time on the clock of vitals; now: Unix seconds.
    """
    state: State = track.state
    reason = track.reason
    if state == "up" and 0 < hung_after_s <= vitals.still_for(clock):
        state = "hung"
        reason = f"it has requests and no token came for {hung_after_s:g} s"
    elif state == "up" and vitals.slow:
        state, reason = "slow", vitals.slow
    return Condition(state, reason, before.since if state == before.state else now)
