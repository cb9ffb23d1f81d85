"""What a backend's work tells of its health: does it move, is it slow. No clock and no I/O in here.

A hung engine goes on answering its health check (vLLM issue 39863); that it has requests and makes
no token is the only sign.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from infergate.kinds.work import Work

QUEUE_FULL = 5
KV_CACHE_FULL = 0.8
"""From so many waiting requests, or so much of its KV cache in use, an engine counts as saturated:
the defaults of the Kubernetes Gateway API Inference Extension (DefaultQueueDepthThreshold and
DefaultKVCacheUtilThreshold of its saturation detector)."""

SLOW_ROUNDS = 2
"""Probes in a row that must say so before a backend is slow, or is not any more."""

SLUGGISH = 0.5
SLUGGISH_LEAST_S = 0.25
"""A probe that takes more than this part of its timeout is slow: the next step is failing. Less
than the second never is, because so much may be this machine's own scheduling."""

LONGEST_SPACING = 4
"""Intervals between two probes of a saturated engine, at most."""


@dataclass(frozen=True)
class Vitals:
    """What the probes so far tell. Times are in the unit and of the clock given to `observe`.

    work, read_at: the latest reading; None if the engine tells nothing.
    moved_at: the last time it produced something, or had nothing to do.
    has_work: it had requests at the latest probe.
    slow: why it is slow; "" if it is not.
    spacing: intervals until the next probe.
    """

    moved_at: float
    work: Work | None = None
    read_at: float = 0.0
    has_work: bool = False
    slow: str = ""
    spacing: int = 1
    _streak: int = 0

    def still_for(self, now: float) -> float:
        """For how long it has had requests and produced nothing."""
        return now - self.moved_at if self.has_work else 0.0


@dataclass(frozen=True)
class VitalsUnanswered:
    """The engine did not say what it works on, though it did before, or was not asked in time."""


def observe(
    vitals: Vitals,
    reading: Work | VitalsUnanswered | None,
    now: float,
    *,
    ours: int,
    latency_s: float,
    timeout_s: float,
) -> Vitals:
    """The vitals after one more good probe.

    reading: None if the engine tells nothing of the kind, or need not be asked.
    ours: requests of ours that it had all the time since the probe before.
    latency_s: of the probe, which may take timeout_s.
    """
    produced = False
    if isinstance(reading, VitalsUnanswered):
        has_work = vitals.work is not None and (ours > 0 or vitals.work.requests > 0)
        moved = not (has_work and vitals.has_work)
    else:
        before = vitals.work
        has_work = reading is not None and (ours > 0 or reading.requests > 0)
        produced = bool(before and reading and before.pulse != reading.pulse)
        told = before is not None and reading is not None and bool(reading.pulse)
        moved = produced or not told or not (has_work and vitals.has_work)
        vitals = replace(vitals, work=reading, read_at=now)
    sign = _slowness(vitals.work, latency_s, timeout_s)
    crowded = produced and has_work and sign != ""
    return replace(
        _with_sign(vitals, sign),
        moved_at=now if moved else vitals.moved_at,
        has_work=has_work,
        # Only while it produces: what may be hanging is looked at as often as ever.
        spacing=min(LONGEST_SPACING, vitals.spacing * 2) if crowded else 1,
    )


def _slowness(work: Work | None, latency_s: float, timeout_s: float) -> str:
    """Why a backend is slow; without numbers, so that the reason does not change each time."""
    if work is not None and (work.waiting or 0) >= QUEUE_FULL:
        return f"{QUEUE_FULL} or more requests wait in its own queue"
    if work is not None and (work.kv_cache_use or 0) >= KV_CACHE_FULL:
        return f"its KV cache is {KV_CACHE_FULL:.0%} full or more"
    sluggish_s = max(SLUGGISH_LEAST_S, timeout_s * SLUGGISH)
    if latency_s > sluggish_s:
        return f"its health check takes more than {sluggish_s:g} s"
    return ""


def _with_sign(vitals: Vitals, sign: str) -> Vitals:
    if bool(sign) == bool(vitals.slow):
        return replace(vitals, slow=sign, _streak=0)
    streak = vitals._streak + 1
    if streak < SLOW_ROUNDS:
        return replace(vitals, _streak=streak)
    return replace(vitals, slow=sign, _streak=0)
