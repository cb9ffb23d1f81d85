"""Keeps njs told what each backend has besides our requests: see health/load.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from infergate.config.root import Config
from infergate.control.live import Live
from infergate.errors import InfergateError
from infergate.health.load import LEAST, beside_ours, others, slow_start
from infergate.health.monitor import BackendStatus
from infergate.live.shared_memory import LiveState, NginxNotThere, push
from infergate.log import log
from infergate.nginx.compiled_route import backends_of
from infergate.paths import Home

STALE_INTERVALS = 3
"""A reading of an engine's work counts for so many of the intervals it is read in."""

AROUND_S = 1.0
"""An engine's own counts lag behind a little, and so do ours: the most requests that we had there
at any moment so long before and after it was asked are taken off."""

Peers = Mapping[str, frozenset[str]]
"""backend → the others that serve a model it serves."""


class LoadLoop:
    """Tells njs the load of every backend, as long as `run` runs."""

    def __init__(
        self,
        home: Home,
        live: Live,
        config: Callable[[], Config],
        statuses: Callable[[], Sequence[BackendStatus]],
        peers: Callable[[], Peers],
    ) -> None:
        self._home, self._live, self._config = home, live, config
        self._statuses, self._peers = statuses, peers
        self._told: dict[str, tuple[tuple[float, int], ...]] = {}

    async def run(self) -> None:
        """Until cancelled; on exit, removes the values that it would no longer update."""
        try:
            while True:
                state = await self._live.next()
                if state is None:
                    continue
                wanted = self._wanted(state)
                if wanted != state.load:
                    await asyncio.to_thread(self._push, _change(state.load, wanted))
        finally:
            self._push({"replace": True})

    def _push(self, change: Mapping[str, object]) -> None:
        try:
            push(self._home.socket, {"load": change})
        except NginxNotThere:
            return
        except InfergateError as problem:
            log.warning("the backends' load could not be told", problem=str(problem))

    def _wanted(self, state: LiveState) -> dict[str, float]:
        """What shared memory is to hold."""
        config, now = self._config(), time.time()
        serving = [s for s in self._statuses() if s.serves and s.name in config.backends]
        loads = {
            s.name: self._beside(s, config.health.of(config.backends[s.name]).interval)
            for s in serving
        }
        busyness = {
            name: (state.in_flight.get(name, 0) + load) / config.backends[name].weight
            for name, load in loads.items()
        }
        for status in serving:
            step = config.backends[status.name].step
            peers = [
                busyness[p]
                for p in self._peers().get(status.name, ())
                if p in busyness and config.backends[p].step == step
            ]
            if status.recovered_at is not None and peers:
                loads[status.name] += slow_start(
                    now - status.recovered_at,
                    config.health.slow_start,
                    sum(peers) / len(peers) * config.backends[status.name].weight,
                )
        return {name: round(load, 1) for name, load in loads.items() if load >= LEAST}

    def _beside(self, status: BackendStatus, interval_s: float) -> float:
        """What one backend has besides our requests. Keeps its two latest readings."""
        vitals, name = status.vitals, status.name
        age_s = time.monotonic() - vitals.read_at
        work = vitals.work if age_s <= STALE_INTERVALS * interval_s * vitals.spacing else None
        told = self._told.get(name, ())
        if work is None:
            told = ()
        elif not told or told[-1][0] != vitals.read_at:
            told = (*told[-1:], (vitals.read_at, work.requests))
        self._told[name] = told
        enough = told if len(told) == 2 else ()
        others_there = others((requests, self._ours(name, at)) for at, requests in enough)
        ours = self._ours(name, self._live.read_at)
        return beside_ours(work, ours, others_there, slow=status.state == "slow")

    def _ours(self, name: str, at: float) -> int:
        return self._live.most(name, at - AROUND_S, at + AROUND_S)


def _change(there: Mapping[str, float], wanted: Mapping[str, float]) -> dict[str, object]:
    return {
        "set": {name: load for name, load in wanted.items() if there.get(name) != load},
        "delete": [name for name in there if name not in wanted],
    }


def peers_of(routes: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Who shares a model with whom, by the compiled routes (njs/route.js describes them)."""
    peers: dict[str, set[str]] = {}
    for route in set(routes.values()):
        names = backends_of(route)
        for name in names:
            peers.setdefault(name, set()).update(names)
    return {name: frozenset(others - {name}) for name, others in peers.items()}
