"""One thing that was checked, and the score of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["high", "medium", "low"]
Outcome = Literal["good", "bad", "unknown"]

WEIGHTS: dict[Severity, int] = {"high": 10, "medium": 4, "low": 1}
"""Points of a check by how bad it is if it fails."""


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    name: stable, for scripts, such as tls.listener; its first part is the area.
    severity: how bad it is, if it is. what: what was found. mend: what to do about it.
    outcome: unknown where it could not be looked at; it has no part in the score then.
    """

    name: str
    severity: Severity
    outcome: Outcome
    what: str
    mend: str = ""


def good(name: str, severity: Severity, what: str) -> Check:
    return Check(name, severity, "good", what)


def bad(name: str, severity: Severity, what: str, mend: str) -> Check:
    return Check(name, severity, "bad", what, mend)


def unknown(name: str, what: str, mend: str = "") -> Check:
    return Check(name, "low", "unknown", what, mend)


def score(checks: Iterable[Check]) -> int:
    """0 to 100: the share of points that the checks which were good have. 100 for none."""
    known = [each for each in checks if each.outcome != "unknown"]
    reachable = sum(WEIGHTS[each.severity] for each in known)
    reached = sum(WEIGHTS[each.severity] for each in known if each.outcome == "good")
    return 100 if reachable == 0 else 100 * reached // reachable


def worst_first(checks: Iterable[Check]) -> list[Check]:
    """What is bad before what is unknown before what is good; the worst first."""
    outcomes = ("bad", "unknown", "good")
    return sorted(
        checks, key=lambda each: (outcomes.index(each.outcome), -WEIGHTS[each.severity], each.name)
    )
