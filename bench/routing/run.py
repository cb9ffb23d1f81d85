"""One run: a fleet or real engines, a router before them, traffic through it."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from bench.routing.fleet import Clock, Fleet
from bench.routing.outcome import Outcome, Run, outcome
from bench.routing.prompts import Chain, Turn
from bench.routing.replay import first_answers, replay
from bench.routing.routers import ROUTERS, Engines, Running

T = TypeVar("T")
Call = Callable[[Coroutine[Any, Any, T]], T]

FOUND_WITHIN_S = 60.0
"""A router asks each of its engines whether it is well before that."""


@dataclass(frozen=True)
class Real:
    """Engines that are there already, and the name of the model that all of them have."""

    urls: Sequence[str]
    model: str
    kind: str


def measure(run: Run, real: Real | None = None) -> Outcome:
    """Raises NotInstalled where the router cannot be had here."""
    chains = run.scenario.traffic(run.seed)
    with (
        tempfile.TemporaryDirectory(prefix="ig-", ignore_cleanup_errors=True) as name,
        _loop() as call,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        if real is not None:
            engines = Engines(real.urls, [real.model], real.kind, 1.0)
            with ROUTERS[run.router](engines, folder) as router:
                return call(_through_real(run, chains, router, real))
        it = run.scenario
        fleet = Fleet(
            it.engines, it.hardware, run.scale, slow=it.slow, faults=it.faults, kind=it.kind
        )
        call(_listen(fleet))
        try:
            engines = Engines(fleet.urls, fleet.models, it.kind, run.scale)
            with ROUTERS[run.router](engines, folder) as router:
                return call(_through(run, chains, router, fleet))
        finally:
            call(_close(fleet))


async def _listen(fleet: Fleet) -> None:
    await fleet.listen()


async def _close(fleet: Fleet) -> None:
    fleet.close()


async def _through(run: Run, chains: list[Chain], router: Running, fleet: Fleet) -> Outcome:
    deadline = time.monotonic() + FOUND_WITHIN_S
    while router.looks and not all(each.asked for each in fleet.engines):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{run.router} did not ask all of its engines whether they are well")
        await asyncio.sleep(0.1)
    await first_answers(router.target, fleet.models[0], 2 * len(fleet.engines))
    # What is made before the run stays; to look through it for garbage would take the clock's time.
    gc.collect()
    gc.freeze()
    try:
        fleet.begin()
        seen = await replay(chains, router.target, fleet.clock, run.scenario.window_s)
    finally:
        gc.unfreeze()
    return outcome(run, router.version, seen, fleet)


async def _through_real(run: Run, chains: list[Chain], router: Running, real: Real) -> Outcome:
    named = [tuple(_for(turn, real.model) for turn in chain) for chain in chains]
    await first_answers(router.target, real.model, 2 * len(real.urls))
    clock = Clock(1.0)
    clock.begin()
    # Their caches have what the last router sent there.
    salt = f"{run.router} {time.time()} "
    seen = await replay(named, router.target, clock, run.scenario.window_s, salt)
    return outcome(replace(run, scale=1.0), router.version, seen, None)


def _for(turn: Turn, model: str) -> Turn:
    return replace(turn, model=model)


@contextmanager
def _loop() -> Iterator[Call[Any]]:
    """asyncio in a thread, which has the engines and the clients, while this one starts and stops
    routers; gives what runs a coroutine there and waits for its result."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
