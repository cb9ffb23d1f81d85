"""Keeps njs told what `balance: work` goes by of each backend: njs/work.js describes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from infergate.config.backends import Backend
from infergate.config.root import Config
from infergate.contract.live import EngineFact
from infergate.contract.numbers import KV_CACHE_TOKENS, PREFILL_TOKENS_MS
from infergate.control.learned import Learned, usual
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


UNSURE = 0.25
"""How likely a model has to leave for another, where nobody knows how many there is room for."""


@dataclass
class _Room:
    """How many models a box that loads them on demand has memory for, as its listings tell.

    most: that were there at the same time. full: so many were there when one left and another came
    in its place; 0: that was not seen. before: how many there were when one left.
    """

    loaded: frozenset[str] = frozenset()
    most: int = 0
    full: int = 0
    before: int = 0

    def evicts(self, loaded: frozenset[str]) -> float:
        """How likely one has to leave for another, from 0 to 1. loaded: those there now."""
        if self.loaded - loaded:
            self.before = len(self.loaded)
        if loaded - self.loaded and self.before:
            self.full = self.before if len(loaded) <= self.before else 0
            self.before = 0
        self.loaded = loaded
        self.most = max(self.most, len(loaded))
        if self.full and len(loaded) >= self.full:
            return 1.0
        return UNSURE if loaded and not self.full and len(loaded) >= self.most else 0.0


@dataclass
class _Seen:
    """What was known of a backend so far. produced: tokens since it started."""

    capacity: int | None = None
    keeps_prefixes: bool | None = None
    produced: int | None = None
    recovered_at: float | None = None
    room: _Room = field(default_factory=_Room)

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


def _whole(told: Sequence[float]) -> Sequence[float]:
    """Also of what an earlier version told, which had fewer places."""
    return (*told, *NOTHING[len(told) :])


def _shares(config: Config) -> dict[str, float]:
    """How fast each backend is said to read, 1 being usual: its weight over the average, as njs
    takes it where nothing else is known."""
    weights = [each.weight for each in config.backends.values()]
    average = sum(weights) / max(1, len(weights))
    return {
        name: each.prefill_speed / 1000 / PREFILL_TOKENS_MS
        if each.prefill_speed
        else each.weight / average
        for name, each in config.backends.items()
    }


class Engines:
    """Tells njs of the engines, as long as `run` runs. What they were last known to have holds
    while they are down."""

    def __init__(
        self,
        home: Home,
        live: Live,
        config: Callable[[], Config],
        statuses: Callable[[], Sequence[BackendStatus]],
        learned: Learned,
    ) -> None:
        self._home, self._live, self._config, self._statuses = home, live, config, statuses
        self._learned = learned
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
        self._learned.keep(config.backends)
        shares = _shares(config)
        told = {
            status.name: self._of(
                status,
                config.backends[status.name],
                _whole(there.get(status.name, ())),
                load.get(status.name, 0.0),
                shares,
            )
            for status in self._statuses()
            if status.name in config.backends
        }
        return {name: each for name, each in told.items() if any(each)}

    def _of(
        self,
        status: BackendStatus,
        declared: Backend,
        there: Sequence[float],
        others: float,
        shares: Mapping[str, float],
    ) -> tuple[float, ...]:
        seen = self._seen.setdefault(status.name, _Seen())
        if (work := status.vitals.work) is not None:
            seen.capacity = work.kv_cache_tokens or seen.capacity
            if work.keeps_prefixes is not None:
                seen.keeps_prefixes = work.keeps_prefixes
        traits = self._learned.of(status.name)
        length = usual(round(traits.length, 1))
        # njs counts tokens by bytes; the engine, and the file, in its own.
        capacity = (declared.kv_cache_tokens or seen.capacity or 0) / length
        loaded = frozenset(model.id for model in status.models if model.loaded is True)
        on_demand = status.kind is not None and not KINDS[status.kind].keeps_loaded
        moved = there[EngineFact.MOVED]
        if seen.restarted(status):
            moved += round(capacity or KV_CACHE_TOKENS) + 1
        return (
            float(round(capacity)),
            self._reads(declared, status.name, length, shares),
            1.0 if seen.keeps_prefixes is False else round(1 - traits.trust, 1),
            moved,
            seen.room.evicts(loaded) if on_demand else 0.0,
            waiting_tokens(work, others),
        )

    def _reads(
        self, declared: Backend, name: str, length: float, shares: Mapping[str, float]
    ) -> float:
        """Tokens by bytes in a ms; 0 where njs' own guess is as good."""
        ratio = self._learned.ratio(name, shares)
        if ratio == length == 1.0:
            return (declared.prefill_speed or 0) / 1000
        return float(f"{PREFILL_TOKENS_MS * shares[name] * ratio / length:.2g}")

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
