"""Asking one backend what it works on: a GET that costs it nothing but the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from infergate.health.ask import NoAnswer, ProbeClient, Target, get
from infergate.health.vitals import Vitals, VitalsUnanswered, observe
from infergate.kinds import KINDS
from infergate.kinds.work import Work

NO_METRICS_INTERVAL_S = 60.0
"""Before a backend that does not say what it works on is asked for it again."""

InFlight = Callable[[str, float], int]
"""(backend, time) → requests of ours that it had all the time since (time.monotonic())."""

_NOT_BUILT_IN = 501
"""What llama.cpp answers to /metrics where it was started without --metrics."""


def _nothing_known() -> Vitals:
    return Vitals(moved_at=time.monotonic())


@dataclass
class WorkReader:
    """Reads the work of one backend after each good probe of it, and keeps what that tells."""

    name: str
    in_flight: InFlight
    vitals: Vitals = field(default_factory=_nothing_known)
    _last_look: float = 0.0
    _no_metrics_until: float = 0.0

    def forget(self) -> None:
        """What was known does not hold any more: it went down, or came up."""
        self.vitals = _nothing_known()
        self._no_metrics_until = 0.0

    def hurry(self) -> None:
        """A probe failed: the next one comes after a plain interval, however busy it was."""
        self.vitals = replace(self.vitals, spacing=1)

    async def look(
        self, client: ProbeClient, target: Target, latency_s: float, *, is_hung: bool
    ) -> None:
        """One reading. latency_s: of the probe just before. Raises OurFault."""
        reading = await self._read(client, target, is_hung)
        now = time.monotonic()
        self.vitals = observe(
            self.vitals,
            reading,
            now,
            ours=self.in_flight(self.name, self._last_look),
            latency_s=latency_s,
            timeout_s=target.timeout_s,
        )
        self._last_look = now

    async def _read(
        self, client: ProbeClient, target: Target, is_hung: bool
    ) -> Work | VitalsUnanswered | None:
        now = time.monotonic()
        if target.kind is None or now < self._no_metrics_until:
            return None
        in_use = is_hung or self.in_flight(self.name, now) > 0
        if KINDS[target.kind].work_wakes and not in_use:
            return None
        reading = await read_work(client, target)
        if reading is None:
            self._no_metrics_until = now + NO_METRICS_INTERVAL_S
        return reading

    def next_probe_at(self, began: float, interval_s: float, hung_after_s: float) -> float:
        """When to probe after a probe that began at `began`; times of time.monotonic().

        Later for a saturated engine; at the latest when one that stands still has done so for
        hung_after_s.
        """
        at = began + interval_s * self.vitals.spacing
        hung_at = self.vitals.moved_at + hung_after_s
        return min(at, hung_at) if self.vitals.has_work and hung_at > began else at


async def read_work(client: ProbeClient, target: Target) -> Work | VitalsUnanswered | None:
    """One reading; None if this kind has none, or this server was started without it.

    Takes target.timeout_s for each path that is tried. Raises OurFault.
    """
    if target.kind is None:
        return None
    for path, read in KINDS[target.kind].work.items():
        answer = await get(client, target, path)
        if isinstance(answer, NoAnswer):
            return VitalsUnanswered()
        if answer.status >= 500 and answer.status != _NOT_BUILT_IN:
            return VitalsUnanswered()
        work = read(answer.body.decode(errors="replace")) if answer.status == 200 else None
        if work is not None:
            return work
    return None
