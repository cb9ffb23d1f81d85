"""How a line is asked, and what its answer means for it and its batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from infergate.store.batches import StoredBatch


@dataclass(frozen=True)
class BatchAnswer:
    """body: JSON. request_id: of the gateway's log. retry_after_s: what the answer asked for."""

    status: int
    body: Any
    request_id: str = ""
    retry_after_s: float | None = None

    @property
    def error(self) -> Mapping[str, Any]:
        """What it says went wrong, where it says so as OpenAI does."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return error if isinstance(error, dict) else {}


class BatchUnanswered(Exception):
    """Nobody answered, or not to the end."""


class Stopped(Exception):
    """The whole batch cannot go on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class BatchCaller(Protocol):
    """Asks in the name of the key that made a batch, for as long as that is valid."""

    async def call(self, path: str, body: Mapping[str, Any]) -> BatchAnswer:
        """POST it. Raises Unanswered; Stopped where the key is not valid any more. Cancelled, it
        closes the connection, so that the backend ends, too."""

    async def end(self) -> None:
        """The batch does not ask any more, for now."""


Callers = Callable[[StoredBatch], BatchCaller]


class BatchVerdict(Enum):
    """KEEP: it is the line's answer, good or bad. WAIT: there is no room now. FAILED: by a fault
    that may be gone the next time. STOP: the batch ends."""

    KEEP = auto()
    WAIT = auto()
    FAILED = auto()
    STOP = auto()


_BUDGET_USED_UP = "insufficient_quota"
_NOT_FROM_THERE = "address_not_allowed"
_FAULTS = frozenset((408, 425, 500, 502, 504))


def verdict_on(answer: BatchAnswer) -> BatchVerdict:
    """Which codes the gateway itself has: docs/errors.md."""
    code = answer.error.get("code")
    if answer.status == 429 and code == _BUDGET_USED_UP:
        return BatchVerdict.STOP
    if answer.status in (401, 403) and code == _NOT_FROM_THERE:
        return BatchVerdict.STOP
    if answer.status in (429, 503):
        return BatchVerdict.WAIT
    return BatchVerdict.FAILED if answer.status in _FAULTS else BatchVerdict.KEEP


def stopped_by(answer: BatchAnswer) -> Stopped:
    """In the gateway's words."""
    code, message = (str(answer.error.get(each) or "")[:1000] for each in ("code", "message"))
    return Stopped(code, f"The batch was stopped: {message}")
