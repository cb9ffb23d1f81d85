"""The loops that probe every configured backend and read its models while it is up.

One pair of tasks per backend: `_probe_forever` and `_discover_forever`. A backend that hangs,
drips or sends garbage therefore costs its own tasks' time and nobody else's.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from infergate.config.backends import Backend, Health
from infergate.health.ask import ProbeClient, make_client
from infergate.health.condition import SERVING, State
from infergate.health.inventory import ModelInfo
from infergate.health.vitals import Vitals
from infergate.health.watch import HealthWatch
from infergate.health.work import InFlight
from infergate.kinds import KindName
from infergate.log import log
from infergate.loops import Loops

STAGGER_S = 0.001
"""Between the first probes of two backends: a thousand are known after a second. A new backend
costs three to twelve requests of 0.4 ms CPU each; all of them at one moment would keep each other
from answering in time."""


@dataclass(frozen=True)
class BackendStatus:
    """What is known about one backend at one moment.

    reason: in plain words, why it is in this state.
    since: when its present state began, in Unix seconds.
    recovered_at: when it last began to serve after it had been down or hung, in Unix seconds.
    vitals: what it says of its own work.
    kind: the engine; None until `engine: auto` has found out.
    models: what it has; the last list that could be read, also while it is down.
    discovered: a reading of its models has been tried; before, `models` being empty says nothing.
    models_problem: why the list could not be read the last time; None if it could.
    last_latency_s: of the latest probe; None before the first one.
    checks, failures: probes since the monitor knows this backend, and how many failed.
    """

    name: str
    state: State
    reason: str
    since: float
    recovered_at: float | None
    vitals: Vitals
    kind: KindName | None
    version: str | None
    models: tuple[ModelInfo, ...]
    discovered: bool
    models_problem: str | None
    last_latency_s: float | None
    checks: int
    failures: int

    @property
    def serves(self) -> bool:
        """Whether it gets requests like any other."""
        return self.state in SERVING


OnChange = Callable[[BackendStatus], Awaitable[None] | None]


class Monitor:
    """Keeps the status of every backend current while `run` runs.

    on_change: called with a backend's newest status after anything but its counts and latency
        changed. One call at a time; changes that come while it works are told together by the
        next call. It may fail or be slow without disturbing the probes.
    in_flight: tells the requests of ours that a backend has; without it there are none.
    loops: runs each backend's own.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        health: Health,
        on_change: OnChange | None = None,
        in_flight: InFlight = lambda _name, _since: 0,
        loops: Loops | None = None,
    ) -> None:
        self._loops = loops or Loops()
        self._on_change = on_change
        self._in_flight = in_flight
        self._watches: dict[str, HealthWatch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed: dict[str, None] = {}
        self._wake_reconciler = asyncio.Event()
        self._wake_teller = asyncio.Event()
        self._clients: dict[bool, ProbeClient] = {}
        self.update(backends, health)

    def update(self, backends: Mapping[str, Backend], health: Health) -> None:
        """Take over a reloaded configuration.

        A backend that is asked the same way as before (URL, engine, api_key, verify_tls) keeps
        its state and counts; any other starts from unknown. Call it from the loop of `run`.
        """
        previous, self._watches = self._watches, {}
        for name, backend in backends.items():
            watch = previous.get(name)
            if watch is not None and watch.asks_like(backend):
                self._watches[name] = watch.continued(backend, health.of(backend))
            else:
                own = health.of(backend)
                self._watches[name] = HealthWatch.new(name, backend, own, self._in_flight)
        self._wake_reconciler.set()

    def statuses(self) -> tuple[BackendStatus, ...]:
        """The status of every backend, in the order of the configuration. Never waits."""
        return tuple(_status(watch) for watch in self._watches.values())

    def status(self, name: str) -> BackendStatus | None:
        """The status of one backend; None if there is none of this name."""
        watch = self._watches.get(name)
        return _status(watch) if watch else None

    async def run(self) -> None:
        """Probe until cancelled. The first probes start at once."""
        teller = asyncio.create_task(
            self._loops.keep("telling what the probes found", self._tell_forever),
            name="health: tell",
        )
        running: dict[str, HealthWatch] = {}
        try:
            while True:
                self._wake_reconciler.clear()
                gone = [name for name, w in running.items() if self._watches.get(name) is not w]
                for name in gone:
                    del running[name]
                await _stop([self._tasks.pop(name) for name in gone])
                new = [name for name in self._watches if name not in running]
                for place, name in enumerate(new):
                    running[name] = self._watches[name]
                    self._tasks[name] = self._start(running[name], place * STAGGER_S)
                await self._wake_reconciler.wait()
        finally:
            await _stop([teller, *self._tasks.values()])
            self._tasks.clear()

    def _start(self, watch: HealthWatch, delay_s: float) -> asyncio.Task[None]:
        client = self._client(watch.backend.checks_certificate)

        async def loop() -> None:
            await watch.run(client, self._note_change, delay_s)

        kept = self._loops.keep(f"probing {watch.name}", loop)
        return asyncio.create_task(kept, name=f"health: {watch.name}")

    def _client(self, verify_tls: bool) -> ProbeClient:
        if verify_tls not in self._clients:
            self._clients[verify_tls] = make_client(verify_tls=verify_tls)
        return self._clients[verify_tls]

    def _note_change(self, name: str) -> None:
        self._changed[name] = None
        self._wake_teller.set()

    async def _tell_forever(self) -> None:
        while True:
            await self._wake_teller.wait()
            self._wake_teller.clear()
            while self._changed:
                name = next(iter(self._changed))
                del self._changed[name]
                status = self.status(name)
                if status is not None and self._on_change is not None:
                    await self._tell(self._on_change, status)

    async def _tell(self, listener: OnChange, status: BackendStatus) -> None:
        try:
            told = listener(status)
            if inspect.isawaitable(told):
                await told
        except Exception:  # a listener's fault must not end the telling
            log.exception("a listener of health changes failed", backend=status.name)


def _status(watch: HealthWatch) -> BackendStatus:
    track = watch.track
    return BackendStatus(
        name=watch.name,
        state=watch.condition.state,
        reason=watch.condition.reason,
        since=watch.condition.since,
        recovered_at=watch.recovered_at,
        vitals=watch.work.vitals,
        kind=watch.target.kind,
        version=watch.version,
        models=watch.models,
        discovered=watch.discovered,
        models_problem=watch.models_problem,
        last_latency_s=watch.last_latency_s,
        checks=track.checks,
        failures=track.failures,
    )


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)  # not `await task`: it would hide a cancellation of our own
    for task in tasks:
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("a health task had failed", task=task.get_name(), exc_info=problem)
