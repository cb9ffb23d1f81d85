"""What a backend has besides our requests, as the score of njs/route.js counts it. Pure.

The score is (requests in flight + this) / weight, the lowest wins. Everything here is therefore
in requests: so many more than we have there ourselves is it taken to have.
"""

from __future__ import annotations

from collections.abc import Iterable

from infergate.health.vitals import KV_CACHE_FULL
from infergate.kinds.work import Work

LEAST = 0.5
"""Less is not worth telling: without any, njs decides without looking for it."""


def strain(work: Work | None, *, slow: bool) -> float:
    """By how much each of its requests counts more than one.

    0 up to KV_CACHE_FULL, 1 with the KV cache full: a request that finds no room waits until one
    of those there has finished. At least 1 where the backend is slow for whatever reason.
    """
    use = (work.kv_cache_use or 0.0) if work is not None else 0.0
    full = max(0.0, use - KV_CACHE_FULL) / (1 - KV_CACHE_FULL)
    return max(full, 1.0) if slow else full


def others(readings: Iterable[tuple[int, int]]) -> int:
    """Requests of others that a backend has, by its latest readings.

    readings: (requests it told, ours around that time), of the two latest readings. Both are
        snapshots of moving numbers, taken at slightly different moments: what is to count must
        have been there in both.
    """
    return min((max(0, told - ours) for told, ours in readings), default=0)


def beside_ours(work: Work | None, ours: int, others: int, *, slow: bool) -> float:
    """Requests of others, and what strain adds for all of them and one more."""
    return others + strain(work, slow=slow) * (others + ours + 1)


def slow_start(since_recovery_s: float, slow_start_s: float, busyness_of_peers: float) -> float:
    """What a backend that came back is taken to have more, falling evenly to 0.

    slow_start_s: when that is. busyness_of_peers: what the others of its models have on average,
        for a weight as large as its own; its queue is empty, and without this it would get the
        next so many requests at once, with cold caches.
    """
    if since_recovery_s >= slow_start_s:
        return 0.0
    return (1 - max(0.0, since_recovery_s) / slow_start_s) * max(1.0, busyness_of_peers)
