"""What answers tell of the engines that wrote them, for `balance: work`. Pure.

Each number begins where it is harmless, moves a little with each answer, is bounded, and goes back
within hours where nothing comes that tells it: what an engine says of itself is data to distrust,
and the worst that it can do is to get more or fewer requests within these bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median_low
from typing import NamedTuple

from infergate.ledger.line import Line
from infergate.ledger.weighed import WorkChoice, WorkTerms, weighed

STEP = 0.05
"""Of the way to what one answer says."""
LEAST_TRUST = 0.1
KNOWN = 2048
"""Tokens: a match of less than a block tells nothing."""
FADES_S = 3600.0
"""What was learned is half forgotten after so long."""

MEMORY = 0.97
"""Of a sum, for each answer that is added."""
ENOUGH = 8
"""Answers before an engine's speed counts."""
STEADY = (0.67, 1.5)
"""Within these, a ratio of speeds is taken for 1: engines differ that much by what they work on.
(docs/decisions/034: to learn it as it is does harm.)"""
SLOWEST, FASTEST = 0.1, 10.0
LONGEST, STALLED = 4.0, 8.0
"""Times what was expected: that one answer counts, and from which it does not: a stall is no
speed."""
LEAST_WORK = 500
"""Tokens to be read before the first one: less takes no time that tells a speed."""

USUAL_LENGTH = (0.8, 1.25)
"""Of real tokens to those that are counted by bytes; what is within is taken for 1."""
SHORTEST, LONGEST_LENGTH = 0.25, 4.0
"""What is beyond is no count of this prompt, and tells nothing."""


class Lesson(NamedTuple):
    """What one says. terms: of the backend that wrote it, as they were weighed. counted: tokens of
    the prompt, by its bytes; prompt, cached: as its usage has them; first_ms: after it was sent,
    None where that is not known."""

    backend: str
    model: str
    counted: int
    terms: WorkTerms
    prompt: int
    cached: int
    first_ms: float | None


def answer_of(line: Line) -> Lesson | None:
    """None where it tells nothing: it failed, was sent twice, or was not weighed."""
    if not line.answered or not line.completed or line.estimated or len(line.attempts) != 1:
        return None
    found: WorkChoice | None = weighed(line.why) if "work" in line.why else None
    if found is None or not found.tokens or line.backend not in found.terms:
        return None
    first_ms = None if line.first_ms is None else float(line.first_ms - line.queue_ms)
    its = found.terms[line.backend]
    return Lesson(line.backend, line.model, found.tokens, its, line.prompt, line.cached, first_ms)


@dataclass
class _Sums:
    """Tokens over ms, of one backend and model."""

    tokens: float = 0.0
    ms: float = 0.0
    answers: float = 0.0

    @property
    def speed(self) -> float:
        return self.tokens / self.ms


@dataclass
class Traits:
    """Of one backend. trust: the part of what the index says that is in its cache. length: real
    tokens to those counted by bytes. caches: it told cached tokens once, so that none means none.
    at: of the last answer, Unix seconds. speeds: by model."""

    trust: float = 1.0
    length: float = 1.0
    caches: bool = False
    at: float = 0.0
    speeds: dict[str, _Sums] = field(default_factory=dict)

    def fade(self, now: float) -> None:
        left = 0.5 ** (max(0.0, now - self.at) / FADES_S)
        self.trust = 1 - (1 - self.trust) * left
        self.length = self.length**left
        for each in self.speeds.values():
            each.answers *= left
        self.at = now


MOST_MODELS = 16
"""Of one backend, whose speeds are kept."""


class Learned:
    """Of all backends: no more than the configuration has."""

    def __init__(self) -> None:
        self._traits: dict[str, Traits] = {}

    def keep(self, backends: Iterable[str]) -> None:
        """Forget all others."""
        wanted = set(backends)
        self._traits = {name: each for name, each in self._traits.items() if name in wanted}

    def saw(self, answer: Lesson, now: float) -> None:
        if not answer.counted:  # too small to be weighed by its tokens
            return
        its = self._traits.setdefault(answer.backend, Traits(at=now))
        its.fade(now)
        if SHORTEST <= answer.prompt / answer.counted <= LONGEST_LENGTH:
            _see_cache(its, answer)
            _see_length(its, answer)
        if not answer.terms.load:  # else it waited for a model
            self._see_speed(its, answer)

    def of(self, backend: str) -> Traits:
        return self._traits.get(backend) or Traits()

    def ratio(self, backend: str, shares: Mapping[str, float]) -> float:
        """How fast it reads, over the median of those that have the same models; 1 where that is
        near, or not known. shares: of each backend, how fast it is said to be."""
        logs, answers = 0.0, 0.0
        for model, sums in list(self.of(backend).speeds.items()):
            if sums.answers < ENOUGH:
                continue
            others = [
                its.speeds[model].speed / shares.get(name, 1.0)
                for name, its in list(self._traits.items())
                if model in its.speeds and its.speeds[model].answers >= ENOUGH
            ]
            if len(others) > 1:
                mine = sums.speed / shares.get(backend, 1.0)
                logs += sums.answers * math.log(mine / median_low(others))
                answers += sums.answers
        ratio = math.exp(logs / answers) if answers else 1.0
        low, high = STEADY
        return 1.0 if low < ratio < high else min(FASTEST, max(SLOWEST, ratio))

    def _see_speed(self, its: Traits, answer: Lesson) -> None:
        work = answer.terms.pending + answer.terms.uncached
        if answer.first_ms is None or work < LEAST_WORK:
            return
        if answer.model not in its.speeds and len(its.speeds) >= MOST_MODELS:
            return
        sums = its.speeds.setdefault(answer.model, _Sums())
        expected = work / (sums.speed if sums.ms else answer.terms.speed)
        if sums.answers >= ENOUGH and answer.first_ms > STALLED * expected:
            return
        sums.tokens = sums.tokens * MEMORY + work
        sums.ms = sums.ms * MEMORY + min(max(1.0, answer.first_ms), LONGEST * expected)
        sums.answers = min(100.0, sums.answers + 1)


def _see_cache(its: Traits, answer: Lesson) -> None:
    its.caches = its.caches or answer.cached > 0
    # What was told to be there was less by the trust that there was.
    known = (answer.counted - answer.terms.uncached) / its.trust
    if its.caches and known >= KNOWN:
        found = min(1.0, answer.cached / (known * answer.prompt / answer.counted))
        its.trust = max(LEAST_TRUST, its.trust + STEP * (found - its.trust))


def _see_length(its: Traits, answer: Lesson) -> None:
    if answer.counted >= LEAST_WORK:
        its.length *= (answer.prompt / answer.counted / its.length) ** STEP


def usual(length: float) -> float:
    """1 for what is near it."""
    low, high = USUAL_LENGTH
    return 1.0 if low < length < high else length
