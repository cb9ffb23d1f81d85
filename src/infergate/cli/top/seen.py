"""What `top` knows of a gateway, from one question to the next."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infergate.errors import InfergateError

if TYPE_CHECKING:
    from infergate.admin.live import LiveNow
    from infergate.admin.status_document import Status
    from infergate.cli.target import CommandTarget

WINDOW_S = 60.0
"""Of which the requests of keys are counted."""


@dataclass
class KeyNow:
    """What one key asked for in the last minute."""

    requests: int = 0
    tokens: int = 0
    errors: int = 0


@dataclass
class Seen:
    """One gateway, as it was last heard of.

    problem: why it was not heard of lately; since: when that began, Unix seconds.
    tokens_per_s: of backends that count their tokens, once they were asked twice.
    missed: more requests came than were told of, so that those of keys are of a part only.
    """

    status: Status | None = None
    live: LiveNow | None = None
    problem: str = ""
    since: float = 0.0
    tokens_per_s: dict[str, float] = field(default_factory=dict)
    keys: dict[str, KeyNow] = field(default_factory=dict)
    missed: bool = False


class Observer:
    """Asks a gateway again and again. target: made anew for each question, cheaply."""

    def __init__(self, target: Callable[[], CommandTarget]) -> None:
        self._target = target
        self.seen = Seen()
        self._lines: deque[tuple[float, str, int, bool]] = deque()
        self._next = 0
        self._counted: dict[str, tuple[float, int]] = {}

    def ask(self) -> None:
        """Raises nothing that a gateway may cause: what went wrong is in `seen`."""
        from infergate.admin.live import live
        from infergate.admin.status import status

        try:
            target = self._target()
            told, now = target.run(status), target.run(live, after=self._next)
        except InfergateError as problem:
            if not self.seen.problem:
                self.seen.since = time.time()
            self.seen.problem = problem.what
            return
        seen = Seen(told, now)
        seen.missed = self._next > 0 and now.next - self._next > len(now.requests)
        self._next = now.next
        self._remember(now)
        seen.keys = self._keys()
        seen.tokens_per_s = self._tokens(told)
        self.seen = seen

    def _remember(self, now: LiveNow) -> None:
        for line in reversed(now.requests):
            tokens = line.get("gen_ai.usage.output_tokens") or 0
            failed = int(line["status"]) >= 400 or int(line["status"]) == 0
            self._lines.append((float(line["ts"]), str(line["key"] or "-"), int(tokens), failed))
        while self._lines and self._lines[0][0] < now.at - WINDOW_S:
            self._lines.popleft()

    def _keys(self) -> dict[str, KeyNow]:
        found: dict[str, KeyNow] = {}
        for _, key, tokens, failed in self._lines:
            each = found.setdefault(key, KeyNow())
            each.requests += 1
            each.tokens += tokens
            each.errors += failed
        return found

    def _tokens(self, told: Status) -> dict[str, float]:
        now, found = time.monotonic(), {}
        for backend in told.backends:
            count, before = backend.generation_tokens, self._counted.get(backend.name)
            if count is None:
                continue
            if before is not None and now > before[0] and count >= before[1]:
                found[backend.name] = (count - before[1]) / (now - before[0])
            self._counted[backend.name] = (now, count)
        return found
