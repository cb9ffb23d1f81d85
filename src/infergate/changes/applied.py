"""What came of a change of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infergate.changes.plan import Plan
from infergate.changes.window import Answers
from infergate.live.drain import Drain


@dataclass(frozen=True)
class Applied:
    """A configuration took effect, or was so already.

    revision: its number; plan: what it changed; keys: how many are valid.
    took_s: step → seconds.
    warnings: what the trial found worth one.
    before, after: the requests of the minute before, and of the window.
    drain: what is left on the workers of before.
    """

    revision: int
    plan: Plan
    keys: int
    took_s: Mapping[str, float]
    warnings: tuple[str, ...]
    before: Answers
    after: Answers
    drain: Drain
