"""Rise and fall: from single probe results to up and down. No clock and no I/O in here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Liveness = Literal["unknown", "up", "down"]
"""What the probes say. `condition.State` is what is made of it."""


@dataclass(frozen=True)
class Track:
    """What is known about one backend's health.

    reason: in plain words, the latest result that speaks for the present state.
    since: when the present state began, in the unit of the times given to `observe`.
    streak: results in a row that contradict the present state.
    checks, failures: probes so far, and how many of them failed.
    """

    since: float
    state: Liveness = "unknown"
    reason: str = "not probed yet"
    streak: int = 0
    checks: int = 0
    failures: int = 0


@dataclass(frozen=True)
class Transition:
    """A backend changed its state. `at` is the time given with the result that decided."""

    before: Liveness
    after: Liveness
    reason: str
    at: float


def observe(
    track: Track, ok: bool, reason: str, now: float, *, rise: int, fall: int
) -> tuple[Track, Transition | None]:
    """The track after one more result, and the transition if the state changed.

    rise: good results in a row that bring a backend up; fall: failed ones that take it down.
    From unknown the first result decides at once, so that a gateway that starts serves at once.
    """
    counted = replace(track, checks=track.checks + 1, failures=track.failures + (0 if ok else 1))
    says: Liveness = "up" if ok else "down"
    if says == track.state:
        return replace(counted, reason=reason, streak=0), None

    streak = track.streak + 1
    needed = 1 if track.state == "unknown" else rise if ok else fall
    if streak < needed:
        return replace(counted, streak=streak), None
    changed = replace(counted, state=says, reason=reason, since=now, streak=0)
    return changed, Transition(track.state, says, reason, now)
