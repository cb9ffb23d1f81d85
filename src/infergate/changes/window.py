"""The decision whether a change that is active has broken something. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LEAST_ERRORS = 5
"""Fewer say nothing: single requests fail for reasons of their own."""

JUMP = 0.1
"""By how much the share of errors may grow: 10 of 100 requests. Argo Rollouts' and Flagger's
examples take back a release at 5 and 1 %; a gateway of few users has few requests to tell from."""


@dataclass(frozen=True)
class Answers:
    """Requests that were answered, and how many of them with 5xx."""

    total: int = 0
    errors: int = 0

    @property
    def share(self) -> float:
        return self.errors / self.total if self.total else 0.0

    def __add__(self, other: Answers) -> Answers:
        return Answers(self.total + other.total, self.errors + other.errors)


def count(entries: Iterable[Mapping[str, Any]], since: float, until: float) -> Answers:
    """The requests of access log lines that came and were answered between two times.

    One that came before `since` was answered by the workers of before.
    """
    total = errors = 0
    for entry in entries:
        ended = entry["ts"]
        if since <= ended - entry["request_time"] and ended < until:
            total += 1
            errors += entry["status"] >= 500
    return Answers(total, errors)


def broken(before: Answers, after: Answers) -> str | None:
    """Why the errors since a change are too many; None if they are not."""
    if after.errors < LEAST_ERRORS or after.share < before.share + JUMP:
        return None
    was = f"before it was {before.errors} of {before.total}" if before.total else "before was none"
    return f"{after.errors} of {after.total} requests failed with 5xx since; {was}"
