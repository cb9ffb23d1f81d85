"""What `balance: work` weighed, as a line of the log has it in `why` (njs/work.js writes it)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from infergate.contract.numbers import PREFILL_TOKENS_MS

_CHOICE = re.compile(r"work(?: (\d{1,8}))?")
SCORE = re.compile(r"(.+)=(-?[\d.e+]+)(?::([\d.,]+))?")
"""name=score, and the terms of its sum, of one backend."""
_FEWEST = 5


class WorkTerms(NamedTuple):
    """Of the sum of one backend. pending, uncached: tokens. busy: requests of ours in flight.
    in_flight: tokens of their prompts. The rest is told only where something is unusual: speed in
    tokens a ms; others: requests beside ours; share: its weight over the average; load: ms."""

    pending: float
    uncached: float
    busy: float
    in_flight: float
    capacity: float
    speed: float = float(PREFILL_TOKENS_MS)
    others: float = 0.0
    share: float = 1.0
    load: float = 0.0


@dataclass(frozen=True)
class WorkChoice:
    """One choice. tokens: of the prompt, about; 0 where it was not counted. terms: of the backends
    that they are told of."""

    tokens: int
    terms: Mapping[str, WorkTerms]


def prompt_tokens(part: str) -> int | None:
    """Of the word that a choice by work begins with; None of any other."""
    match = _CHOICE.fullmatch(part)
    return None if match is None else int(match[1] or 0)


def terms(text: str | None) -> WorkTerms | None:
    """None where they are not told."""
    numbers = text.split(",") if text else []
    if not _FEWEST <= len(numbers) <= len(WorkTerms._fields):
        return None
    try:
        return WorkTerms(*map(float, numbers))
    except ValueError:
        return None


def weighed(why: str) -> WorkChoice | None:
    """The last choice by work; None if there was none."""
    found: WorkChoice | None = None
    for part in why.split(";"):
        tokens = prompt_tokens(part)
        if tokens is not None:
            found = WorkChoice(tokens, {})
            continue
        match = SCORE.fullmatch(part)
        if found is not None and match and (its := terms(match[3])):
            found = WorkChoice(found.tokens, {**found.terms, match[1]: its})
    return found
