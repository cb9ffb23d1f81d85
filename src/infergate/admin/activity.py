"""What requests did lately, from the end of the access log; kept by the process that is asked.

It reads only what was written since it was asked last, and nothing while nobody asks. What it has
is bounded: an hour in minutes, and the last requests whole.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infergate.ledger.line import request_in
from infergate.ledger.tail import Tail
from infergate.metrics.steps import step_of
from infergate.nginx.access_line import FIRST_CHUNK

MINUTES = 60
_FIRST_BYTES = 8 * 1024**2
"""Of the log that are read at first: some 16,000 requests, a third of a second."""
_BLOCKS = 4
"""Of the tail (ledger/tail.py: 4 MiB), in one look."""
_KEPT = 2_000
_MOST_MODELS = 500
OTHERS = "(others)"
"""Stands for the models beyond the first 500 of an hour."""


@dataclass
class Minute:
    """What a model did in one. first_s: counts of times to the first byte, by their step."""

    requests: int = 0
    errors: int = 0
    output_tokens: int = 0
    first_s: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SeenActivity:
    """A request. number: counts up, from 1, in the order they were read in."""

    number: int
    entry: Mapping[str, Any]


class Activity:
    """Of one access log."""

    def __init__(self, log: Path) -> None:
        self._lock = threading.Lock()
        self._tail = Tail(log, {})
        self._tail.skip(but_bytes=_FIRST_BYTES)
        self._count = 0
        self.requests: deque[SeenActivity] = deque(maxlen=_KEPT)
        self.since = time.time()
        """Since when the numbers hold, Unix seconds."""
        self._minutes: dict[int, dict[str, Minute]] = {}

    def look(self, now: float) -> Mapping[int, Mapping[str, Minute]]:
        """Read what is new; the minutes of the last hour, by when they began, and their models."""
        with self._lock:
            for _ in range(_BLOCKS):
                if not self._read(now):
                    break
            else:  # more is written than anybody could look at
                if self._tail.behind_bytes() > _FIRST_BYTES:
                    self._tail.skip(but_bytes=_FIRST_BYTES)
                    self.since = now
            oldest = (int(now) // 60 - MINUTES) * 60
            for begun in [each for each in self._minutes if each < oldest]:
                del self._minutes[begun]
            return {begun: dict(models) for begun, models in self._minutes.items()}

    def _read(self, now: float) -> bool:
        """A block of each file; whether there was any."""
        found = False
        for piece in self._tail.pieces():
            found = True
            for line in piece.data.split(b"\n"):
                if line and (entry := request_in(line)) is not None:
                    self._note(entry, now)
            self._tail.counted(piece)
        return found

    def newest(self) -> Iterator[SeenActivity]:
        """The requests that are kept whole, the newest first."""
        with self._lock:
            return reversed(list(self.requests))

    def _note(self, entry: Mapping[str, Any], now: float) -> None:
        try:
            at, status = float(entry["ts"]), int(entry["status"])
            model = str(entry["gen_ai.request.model"] or "")[:256]
            tokens = int(entry["gen_ai.usage.output_tokens"] or 0)
            first_s = first_byte_s(entry)
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        self._count += 1
        self.requests.append(SeenActivity(self._count, entry))
        self.since = min(self.since, at)
        if not now - MINUTES * 60 < at < now + 60:
            return
        models = self._minutes.setdefault(int(at) // 60 * 60, {})
        if model not in models and len(models) >= _MOST_MODELS:
            model = OTHERS
        minute = models.setdefault(model, Minute())
        minute.requests += 1
        minute.errors += status >= 400 or status == 0
        minute.output_tokens += max(0, tokens)
        if first_s is not None and status < 400:
            step = step_of(first_s)
            minute.first_s[step] = minute.first_s.get(step, 0) + 1


def first_byte_s(entry: Mapping[str, Any]) -> float | None:
    """From the request's first byte to the answer's: what the client waited, as far as the log
    tells; of a stream, to the first piece of its body. None where no backend answered."""
    attempts = entry["attempts"]
    if not attempts:
        return None
    first_s = entry.get(FIRST_CHUNK)
    if first_s is not None:
        return max(float(first_s), 0.0) if math.isfinite(float(first_s)) else None
    header_s, response_s = attempts[-1]["header_time"], attempts[-1]["response_time"]
    if header_s is None or response_s is None:
        return None
    found = float(entry["request_time"]) - float(response_s) + float(header_s)
    return max(found, 0.0) if math.isfinite(found) else None


_known: dict[Path, Activity] = {}
_knowing = threading.Lock()


def activity_of(log: Path) -> Activity:
    """The one of this process."""
    with _knowing:
        if log not in _known:
            _known[log] = Activity(log)
        return _known[log]
