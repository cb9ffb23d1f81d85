"""Keeps njs told what `balance: work` goes by of each backend: njs/work.js describes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infergate.config.root import Config
from infergate.contract.live import EngineFact
from infergate.contract.numbers import KV_CACHE_TOKENS
from infergate.control.live import Live
from infergate.errors import InfergateError
from infergate.health.monitor import BackendStatus
from infergate.kinds import KINDS
from infergate.kinds.work import Work
from infergate.live.shared_memory import NginxNotThere, push
from infergate.log import log
from infergate.paths import Home

Engined = Mapping[str, tuple[float, ...]]
NOTHING = (0.0,) * len(EngineFact)

PROMPT = 4000
"""Tokens of a prompt that nobody knows; of what others have waiting."""


def waiting_tokens(work: Work | None, others: float) -> float:
    """Prompt tokens that wait in the engine's own queue and are not ours, about. others: requests
    that it has besides ours."""
    if work is None or not work.waiting or others <= 0:
        return 0.0
    return float(round(work.waiting * min(1.0, others / work.requests) * PROMPT))


@dataclass
class _Seen:
    """What was known of a backend so far. produced: tokens since it started. most_loaded: models in
    its memory at the same time."""

    capacity: int | None = None
    keeps_prefixes: bool | None = None
    produced: int | None = None
    recovered_at: float | None = None
    most_loaded: int = 0

    def restarted(self, status: BackendStatus) -> bool:
        """Whether what it had in its cache is gone: its counters began anew; or, where it has none,
        it was down."""
        work = status.vitals.work
        counts = [] if work is None else [work.generation_tokens, work.prompt_tokens]
        produced = sum(each for each in counts if each is not None)
        known = self.produced
        if any(each is not None for each in counts):
            self.produced = produced
            is_less = known is not None and produced < known
        else:
            is_less = self.produced is None and status.recovered_at not in (
                None,
                self.recovered_at,
            )
        self.recovered_at = status.recovered_at
        return is_less


class Engines:
    """Tells njs of the engines, as long as `run` runs. What they were last known to have holds
    while they are down."""

    def __init__(
        self,
        home: Home,
        live: Live,
        config: Callable[[], Config],
        statuses: Callable[[], Sequence[BackendStatus]],
    ) -> None:
        self._home, self._live, self._config, self._statuses = home, live, config, statuses
        self._seen: dict[str, _Seen] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            state = await self._live.next()
            if state is None:
                continue
            wanted = self.wanted(state.engines, state.load)
            if wanted != state.engines:
                await asyncio.to_thread(self._push, state.engines, wanted)

    def wanted(self, there: Engined, load: Mapping[str, float]) -> dict[str, tuple[float, ...]]:
        """What shared memory is to hold. there: what it holds. load: what is told in
        control/load.py."""
        config = self._config()
        told = {
            status.name: self._of(
                status, config, there.get(status.name, NOTHING), load.get(status.name, 0.0)
            )
            for status in self._statuses()
            if status.name in config.backends
        }
        return {name: each for name, each in told.items() if any(each)}

    def _of(
        self, status: BackendStatus, config: Config, there: Sequence[float], others: float
    ) -> tuple[float, ...]:
        declared = config.backends[status.name]
        seen = self._seen.setdefault(status.name, _Seen())
        if (work := status.vitals.work) is not None:
            seen.capacity = work.kv_cache_tokens or seen.capacity
            if work.keeps_prefixes is not None:
                seen.keeps_prefixes = work.keeps_prefixes
        capacity = declared.kv_cache_tokens or seen.capacity
        loaded = sum(model.loaded is True for model in status.models)
        seen.most_loaded = max(seen.most_loaded, loaded)
        on_demand = status.kind is not None and not KINDS[status.kind].keeps_loaded
        moved = there[EngineFact.MOVED]
        if seen.restarted(status):
            moved += (capacity or KV_CACHE_TOKENS) + 1
        return (
            float(capacity or 0),
            (declared.prefill_speed or 0) / 1000,
            float(seen.keeps_prefixes is False),
            moved,
            float(on_demand and loaded >= max(1, seen.most_loaded)),
            waiting_tokens(work, others),
        )

    def _push(self, there: Engined, wanted: Engined) -> None:
        change = {
            "set": {
                key: json.dumps(value) for key, value in wanted.items() if there.get(key) != value
            },
            "delete": [key for key in there if key not in wanted],
        }
        try:
            push(self._home.socket, {"engines": change})
        except NginxNotThere:
            return
        except InfergateError as problem:
            log.warning("what the engines hold could not be told", problem=str(problem))
