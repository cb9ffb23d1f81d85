"""One reader of nginx's shared memory for all of the control plane, and what it saw lately."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from infergate.errors import InfergateError
from infergate.live.shared_memory import LiveState, read

INTERVAL_S = 0.5
"""Between two readings."""

KEPT = 30
"""Readings of the requests in flight that are kept: 15 s, longer than a probe lasts."""


class Live:
    """What shared memory holds, at most INTERVAL_S old while `run` runs.

    state: None before the first reading, and while nginx is being restarted.
    read_at: when it was read, by time.monotonic().
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._in_flight: deque[tuple[float, Mapping[str, int]]] = deque(maxlen=KEPT)
        self._read = asyncio.Condition()
        self.state: LiveState | None = None
        self.read_at = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                state = await asyncio.to_thread(read, self._socket)
            except InfergateError:
                self.state = None  # it is being restarted, and with it goes what was in flight
                self._in_flight.clear()
            else:
                self.state = state
                self.read_at = time.monotonic()
                self._in_flight.append((self.read_at, state.in_flight))
            async with self._read:
                self._read.notify_all()
            await asyncio.sleep(INTERVAL_S)

    async def next(self) -> LiveState | None:
        """The next reading; None if it failed."""
        async with self._read:
            await self._read.wait()
        return self.state

    def least(self, backend: str, since: float) -> int:
        """Requests that a backend had at every reading from the last one before `since` on.

        since: a time of time.monotonic().
        """
        counts = []
        for at, in_flight in reversed(self._in_flight):
            counts.append(in_flight.get(backend, 0))
            if at <= since:
                break
        return min(counts, default=0)

    def most(self, backend: str, since: float, until: float) -> int:
        """The most requests that it had at a reading between two times of time.monotonic()."""
        counts = (each.get(backend, 0) for at, each in self._in_flight if since <= at <= until)
        return max(counts, default=0)
