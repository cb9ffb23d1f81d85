"""A scenario in virtual time: engines, clients and the router in one loop, nothing else.

The same call gives the same numbers, on any machine and however busy it is: for judging a policy.
What HTTP, sockets and a router's own work cost is not in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from bench.routing.engine import Engine, Job
from bench.routing.fleet import Served
from bench.routing.gateway import Gateway
from bench.routing.outcome import Outcome, Run, outcome
from bench.routing.policies import CacheAware, LeastConn, Look, Request, Router
from bench.routing.prompts import CHARACTERS, Chain, blocks_of
from bench.routing.replay import DRAIN_S, Seen
from bench.routing.scenarios import Scenario
from bench.routing.server import metrics

LOOK_S = 3.0
"""Between two looks of a router at its engines."""

ATTEMPTS = 3
HEAD_LEAST = 8192
"""Bytes from which Infergate keeps a stream's head back until its first token."""


def _gateway(balance: str) -> Callable[[Scenario], Router]:
    return lambda it: Gateway(balance, it.engines, sorted(it.hardware.load_s) or ["m"], it.kind)


TWO = "infergate:two-gateways"
"""That share nothing, each with half of the conversations."""

MODELLED: dict[str, Callable[[Scenario], Router]] = {
    **{f"infergate:{each}": _gateway(each) for each in ("work", "prefix", "least_busy")},
    TWO: _gateway("work"),
    "least_conn": lambda it: LeastConn(it.engines),
    "cache_aware": lambda it: CacheAware(it.engines),
}
"""Name → what makes a router before a scenario's engines."""


@dataclass(eq=False)
class _Asked:
    """A request under way. by: the gateway that it came through."""

    request: Request
    seen: Seen
    by: Router
    chain: Chain
    at: int
    tried: list[int] = field(default_factory=list)
    engine: int = -1
    job: Job | None = None


class Simulation:
    """gateways: routers that share nothing; requests come to each in turn, by conversation."""

    def __init__(self, scenario: Scenario, gateways: Sequence[Router]) -> None:
        self._scenario, self._gateways = scenario, gateways
        self.engines = [
            Engine(replace(scenario.hardware, slow=scenario.slow.get(at, 1.0)))
            for at in range(scenario.engines)
        ]
        self.served: list[Served] = []
        self.seen: list[Seen] = []
        self._dead = [False] * scenario.engines
        self._stalled = [0.0] * scenario.engines
        self._jobs: dict[Job, _Asked] = {}
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._events_so_far = 0

    def run(self, chains: Sequence[Chain]) -> None:
        for chain in chains:
            self._due(chain[0].wait_s, self._arrive, chain, 0, self._gateway_of(chain))
        for fault in self._scenario.faults:
            until = fault.at_s + fault.lasts_s
            self._due(fault.at_s, self._begin_fault, fault.kind, fault.engine, until)
        self._due(0.0, self._look)
        end_s = self._scenario.window_s + DRAIN_S
        while self._events and self._events[0][0] <= end_s:
            now, _, what, given = heapq.heappop(self._events)
            what(now, *given)
        for asked in self._jobs.values():
            asked.seen.error, asked.seen.ended_s = "no answer in time", end_s

    def _gateway_of(self, chain: Chain) -> Router:
        name = chain[0].session.encode()
        return self._gateways[sum(name) % len(self._gateways)]

    def _due(self, at_s: float, what: Callable[..., None], *given: Any) -> None:
        self._events_so_far += 1
        heapq.heappush(self._events, (at_s, self._events_so_far, what, given))

    def _arrive(self, now: float, chain: Chain, at: int, by: Router) -> None:
        if now >= self._scenario.window_s:
            return
        seen = Seen(len(self.seen), now, now)
        self.seen.append(seen)
        self._send(now, _Asked(Request(seen.number, chain[at]), seen, by, chain, at))

    def _send(self, now: float, asked: _Asked) -> None:
        while len(asked.tried) < ATTEMPTS:
            engine = asked.by.choose(asked.request, now, asked.tried)
            if engine is None:
                break
            asked.tried.append(engine)
            if not self._dead[engine]:
                self._submit(now, asked, engine)
                return
            asked.by.ended(asked.request, now)
            asked.by.failed(asked.request, engine, now, silent=False)
        self._over(now, asked, "no engine took it")

    def _submit(self, now: float, asked: _Asked, at: int) -> None:
        turn, engine = asked.request.turn, self.engines[at]
        size = engine.hardware.block_tokens
        model = turn.model if engine.hardware.models_in_memory else ""
        content = asked.request.content
        tokens = max(1, len(content) // CHARACTERS)
        job = Job(
            asked.request.number,
            blocks_of(content, size, model),
            tokens,
            turn.output_tokens,
            now,
            model,
        )
        asked.engine, asked.job = at, job
        self._jobs[job] = asked
        engine.submit(job, now)
        self._plan(at)
        self._due(now + asked.by.first_byte_s(asked.request), self._overdue, asked, job)

    def _plan(self, at: int) -> None:
        ends = self.engines[at].next_event()
        if ends is not None:
            self._due(ends, self._step, at)

    def _step(self, now: float, at: int) -> None:
        engine = self.engines[at]
        if engine.next_event() != now:
            return
        first, ended = engine.step()
        for job in first:
            asked = self._jobs.get(job)
            if asked is not None:
                asked.seen.first_s = now
                asked.by.first(asked.request, now)
        for job in ended:
            asked = self._jobs.pop(job, None)
            if asked is not None:
                self._tell(asked, job)
                asked.by.ended(asked.request, now, job.hit)
                self._over(now, asked, "")
        self._plan(at)

    def _tell(self, asked: _Asked, job: Job) -> None:
        times = (job.arrived_s, job.first_s, job.ended_s)
        self.served.append(Served(asked.engine, job.number, *times, job.prompt_tokens, job.hit))

    def _over(self, now: float, asked: _Asked, error: str) -> None:
        asked.seen.error, asked.seen.ended_s = error, now
        at = asked.at + 1
        if at < len(asked.chain):
            self._due(now + asked.chain[at].wait_s, self._arrive, asked.chain, at, asked.by)

    def _overdue(self, now: float, asked: _Asked, job: Job) -> None:
        """No first token in time."""
        if self._jobs.get(job) is not asked or job.first_s is not None:
            return
        self.engines[asked.engine].cancel(job)
        self._lose(now, asked, job, silent=True)

    def _lose(self, now: float, asked: _Asked, job: Job, *, silent: bool) -> None:
        """This attempt came to nothing."""
        del self._jobs[job]
        self._tell(asked, job)
        asked.by.ended(asked.request, now)
        asked.by.failed(asked.request, asked.engine, now, silent=silent)
        is_held = asked.by.holds_head and len(asked.request.body) >= HEAD_LEAST
        if job.first_s is None and is_held:
            self._send(now, asked)
        else:
            self._over(now, asked, "broken off")

    def _begin_fault(self, now: float, kind: str, at: int, until: float) -> None:
        engine = self.engines[at]
        if kind == "stall":
            self._stalled[at] = until
            engine.stall(until)
            self._plan(at)
            return
        self._dead[at] = True
        lost = [(job, asked) for job, asked in self._jobs.items() if asked.engine == at]
        engine.reset()
        for job, asked in lost:
            self._lose(now, asked, job, silent=False)
        self._due(until, self._come_back, at)

    def _come_back(self, _: float, at: int) -> None:
        self._dead[at] = False

    def _look(self, now: float) -> None:
        looks = [self._look_at(now, at) for at in range(len(self.engines))]
        for gateway in self._gateways:
            gateway.look(looks, now)
        self._due(now + LOOK_S, self._look)

    def _look_at(self, now: float, at: int) -> Look:
        engine = self.engines[at]
        on_demand = engine.hardware.models_in_memory
        loaded = list(engine.models) if on_demand else None
        text = "" if on_demand else metrics(engine, "m")
        return Look(self._dead[at], now >= self._stalled[at], text, loaded)


def simulate(run: Run) -> Outcome:
    """Raises NotInstalled where Node.js is not there."""
    several = [MODELLED[run.router](run.scenario) for _ in range(2 if run.router == TWO else 1)]
    try:
        it = Simulation(run.scenario, several)
        it.run(run.scenario.traffic(run.seed))
    finally:
        for each in several:
            each.close()
    fleet = SimpleNamespace(
        served=it.served,
        late_s=[],
        engines=[SimpleNamespace(engine=each) for each in it.engines],
    )
    return outcome(replace(run, scale=1.0), "", it.seen, fleet)
