"""A fleet of simulated engines, each on a port of its own, all moved by one clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.routing.engine import Engine, Hardware, Job
from bench.routing.server import Connection

LAST_ACCEPT_S = 0.01
"""Real seconds; asyncio makes a connection in its next round or two."""


class Clock:
    """Simulated seconds since `begin`; scale: so many in a real one."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._began: float | None = None

    def begin(self) -> None:
        self._began = time.monotonic()

    def now(self) -> float:
        return 0.0 if self._began is None else (time.monotonic() - self._began) * self.scale

    def real(self, simulated: float) -> float:
        """When it is on asyncio's clock, which is time.monotonic()."""
        assert self._began is not None
        return self._began + simulated / self.scale


@dataclass(frozen=True)
class Fault:
    """At `at_s`, for `lasts_s`: the engine ends no step (stall), or its process is gone (death)."""

    engine: int
    kind: str
    at_s: float
    lasts_s: float


@dataclass(frozen=True)
class Served:
    """What an engine tells of a request that it had; `number` is the request's seed."""

    engine: int
    number: int
    arrived_s: float
    first_s: float | None
    ended_s: float | None
    prompt_tokens: int
    hit: int


class Simulated:
    """One engine with its port. kind: whose paths it has, vllm or ollama."""

    def __init__(self, fleet: Fleet, index: int, hardware: Hardware, kind: str) -> None:
        self.fleet, self.index, self.kind = fleet, index, kind
        self.engine = Engine(hardware)
        self.connections: set[Connection] = set()
        self.asked = 0
        """GETs since it started: a router that looked has found it."""
        self.port = 0
        self.dead = False
        self._jobs: dict[Job, Connection] = {}
        self._due: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", self.port, backlog=1024, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.dead = False

    def begin(self) -> None:
        """As if it had just started; what it was asked before is forgotten."""
        self._jobs.clear()
        self.engine = Engine(self.engine.hardware)
        self._plan()

    def die(self) -> None:
        """As when its process is killed: connections are reset, and the port is closed."""
        self.dead = True
        if self._server is not None:
            loop = asyncio.get_running_loop()
            for listening in self._server.sockets:
                loop.remove_reader(listening.fileno())
            # Not at once: asyncio would forget a connection that it is about to make, and leave it
            # open without anybody who reads it.
            loop.call_later(LAST_ACCEPT_S, self._server.close)
        for connection in list(self.connections):
            connection.abort()
        for job in self._jobs:
            self._tell(job)
        self._jobs.clear()
        self.engine.reset()
        self._plan()

    def submit(self, job: Job, connection: Connection) -> None:
        self._jobs[job] = connection
        self.engine.submit(job, job.arrived_s)
        self._plan()

    def left(self, job: Job) -> None:
        if self._jobs.pop(job, None) is not None:
            self._tell(job)
            self.engine.cancel(job)

    def stall(self, until_s: float) -> None:
        self.engine.stall(until_s)
        self._plan()

    def _plan(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        at = self.engine.next_event()
        if at is not None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_at(self.fleet.clock.real(at), self._tick)

    def _tick(self) -> None:
        self._due = None
        now = self.fleet.clock.now()
        self.fleet.late_s.append(now - (self.engine.next_event() or now))
        while (at := self.engine.next_event()) is not None and at <= now:
            first, ended = self.engine.step()
            for job in first:
                if job in self._jobs:
                    self._jobs[job].first()
            for job in ended:
                connection = self._jobs.pop(job, None)
                if connection is not None:
                    self._tell(job)
                    connection.end(job)
        self._plan()

    def _tell(self, job: Job) -> None:
        self.fleet.served.append(
            Served(
                self.index,
                job.number,
                job.arrived_s,
                job.first_s,
                job.ended_s,
                job.prompt_tokens,
                job.hit,
            )
        )


class Fleet:
    """Engines, their clock, and what they tell. late_s: how late each step's end was seen."""

    def __init__(
        self,
        engines: int,
        hardware: Hardware,
        scale: float,
        *,
        slow: Mapping[int, float] | None = None,
        faults: Sequence[Fault] = (),
        kind: str = "vllm",
    ) -> None:
        """slow: engine → times as long for everything."""
        self.clock = Clock(scale)
        self.served: list[Served] = []
        self.late_s: list[float] = []
        self._faults = faults
        self._timers: list[asyncio.TimerHandle] = []
        self.engines = [
            Simulated(self, at, replace(hardware, slow=(slow or {}).get(at, 1.0)), kind)
            for at in range(engines)
        ]
        self.models: tuple[str, ...] = tuple(sorted(hardware.load_s)) or ("m",)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{each.port}" for each in self.engines]

    async def listen(self) -> None:
        for each in self.engines:
            await each.listen()
        self.clock.begin()

    def begin(self) -> None:
        """The run starts: all caches are empty, the clock is at 0, and faults come by it."""
        self.clock.begin()
        for each in self.engines:
            each.begin()
        self.served.clear()
        self.late_s.clear()
        loop = asyncio.get_running_loop()
        for fault in self._faults:
            at, until = fault.at_s, fault.at_s + fault.lasts_s
            engine = self.engines[fault.engine]
            if fault.kind == "stall":
                self._at(at, lambda engine=engine, until=until: engine.stall(until))
            else:
                self._at(at, engine.die)
                self._at(until, lambda engine=engine: loop.create_task(engine.listen()))

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for each in self.engines:
            each.die()

    def _at(self, simulated_s: float, what: object) -> None:
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_at(self.clock.real(simulated_s), what))  # type: ignore[arg-type]
