"""One backend being watched: its probe loop, its discovery loop, and what they found out."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from infergate.config.backends import Backend, Health
from infergate.health.ask import OurFault, ProbeClient, Target
from infergate.health.condition import SERVING, Condition, judge
from infergate.health.inventory import Inventory, ModelInfo, Unreadable, declared, steady
from infergate.health.probe import NOT_FOUND, ProbeResult, identify, list_models, probe
from infergate.health.tracker import Track, observe
from infergate.health.work import InFlight, WorkReader
from infergate.kinds import OTHER, KindName
from infergate.log import log

DISCOVERY_INTERVAL_S = 5.0
"""Between two readings of the models, at least. With DISCOVERY_TIMEOUT_S a new model is known in
10 s, but for backends that are probed less often."""

DISCOVERY_TIMEOUT_S = 4.0
"""For one reading. Longer than a probe's: a big Ollama box reads a manifest per model."""

IDENTIFY_ATTEMPTS = 3
"""Readings in a row that may leave the engine's kind open, before it is taken for "openai"."""

JITTER = 0.1
"""The interval is shortened at random by up to this part, so that probes of many backends, or
of many gateways, do not stay in step. Never lengthened: rise and fall times interval hold."""

OUR_LAG_S = 0.05
"""If this process came so late to a probe, or to its end, the time that it took tells of this
process or its machine, and not of the backend."""

COMPLAINT_INTERVAL_S = 60.0
"""Between two warnings that this process cannot probe a backend."""


@dataclass
class HealthWatch:
    """What is known about one backend, and the loops that keep it current.

    discovered: its models were read, or could not be read, at least once.
    recovered_at: when it last began to serve after it had not, in Unix seconds; None if never.
    """

    name: str
    backend: Backend
    health: Health
    target: Target
    work: WorkReader
    track: Track
    condition: Condition
    recovered_at: float | None = None
    version: str | None = None
    models: tuple[ModelInfo, ...] = ()
    models_problem: str | None = None
    last_latency_s: float | None = None
    discovered: bool = False
    _unclear: int = 0
    _silent_until: float = 0.0
    _came_up: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def new(cls, name: str, backend: Backend, health: Health, in_flight: InFlight) -> HealthWatch:
        """A backend that nothing is known about."""
        now = time.time()
        track = Track(since=now)
        return cls(
            name,
            backend,
            health,
            Target.of(backend, health.timeout),
            WorkReader(name, in_flight),
            track,
            Condition("unknown", track.reason, now),
            models=declared(backend.models or (), ()),
        )

    def asks_like(self, backend: Backend) -> bool:
        """Whether backend is asked in the same way as this one, so that what is known holds."""
        ours, theirs = (Target.of(each, timeout_s=1) for each in (self.backend, backend))
        return ours == theirs

    def continued(self, backend: Backend, health: Health) -> HealthWatch:
        """This watch under a reloaded configuration; itself, if nothing changed for it."""
        if (backend.models, health) == (self.backend.models, self.health):
            self.backend = backend
            return self
        models = self.models if backend.models is None else declared(backend.models, self.models)
        return replace(
            self,
            backend=backend,
            health=health,
            target=replace(self.target, timeout_s=health.timeout),
            models=models,
            _came_up=asyncio.Event(),
        )

    async def run(
        self, client: ProbeClient, changed: Callable[[str], None], delay_s: float = 0.0
    ) -> None:
        """Probe and discover until cancelled.

        changed: called with the name after a change. delay_s: before the first probe.
        """
        await asyncio.sleep(delay_s)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._probe_forever(client, changed))
            loops.create_task(self._discover_forever(client, changed))

    async def _probe_forever(self, client: ProbeClient, changed: Callable[[str], None]) -> None:
        late_s = 0.0
        while True:
            began = time.monotonic()
            result = await self._probe_once(client)
            late_s = max(late_s, await _turn_s())
            if result is not None:
                self._take(result, changed)
                if result.ok and self.track.state == "up":
                    latency_s = result.latency_s if late_s < OUR_LAG_S else 0.0
                    await self._look_at_work(client, latency_s)
                    self._judge(changed)
            jitter = random.uniform(1 - JITTER, 1)  # noqa: S311
            at = self.work.next_probe_at(
                began, self.health.interval * jitter, self.health.hung_after
            )
            await asyncio.sleep(max(0, at - time.monotonic()))
            late_s = max(0, time.monotonic() - at)

    async def _probe_once(self, client: ProbeClient) -> ProbeResult | None:
        """One result, or None if nothing can be said about the backend."""
        try:
            return await probe(client, self.target)
        except OurFault as problem:
            self._complain("could not probe", problem)
        except Exception:  # one strange backend must not end its own watch
            log.exception("probing failed in an unforeseen way", backend=self.name)
        return None

    def _take(self, result: ProbeResult, changed: Callable[[str], None]) -> None:
        self.last_latency_s = result.latency_s
        self.track, transition = observe(
            self.track,
            result.ok,
            result.reason,
            time.time(),
            rise=self.health.rise,
            fall=self.health.fall,
        )
        not_found = result.status in NOT_FOUND and not result.ok
        if not_found and self.backend.engine == "auto" and self.backend.health == "auto":
            self.target = replace(self.target, kind=None)  # something else runs there now
        if not result.ok:
            self.work.hurry()
        if transition is not None:
            self.work.forget()
        self._judge(changed)
        if transition is not None and transition.after == "up":
            self._came_up.set()

    async def _look_at_work(self, client: ProbeClient, latency_s: float) -> None:
        try:
            is_hung = self.condition.state == "hung"
            await self.work.look(client, self.target, latency_s, is_hung=is_hung)
        except OurFault as problem:
            self._complain("could not read metrics", problem)
        except Exception:  # as in _probe_once
            log.exception("reading metrics failed in an unforeseen way", backend=self.name)

    def _judge(self, changed: Callable[[str], None]) -> None:
        """Bring the condition up to date, and tell a change of it."""
        before = self.condition
        self.condition = judge(
            before,
            self.track,
            self.work.vitals,
            hung_after_s=self.health.hung_after,
            clock=time.monotonic(),
            now=time.time(),
        )
        state, reason = self.condition.state, self.condition.reason
        if state != before.state:
            log.info(f"backend {state}", backend=self.name, reason=reason, before=before.state)
            if state in SERVING and before.state in ("down", "hung"):
                self.recovered_at = self.condition.since
        if (state, reason) != (before.state, before.reason):
            changed(self.name)

    async def _discover_forever(self, client: ProbeClient, changed: Callable[[str], None]) -> None:
        identified_since = None
        interval_s = max(DISCOVERY_INTERVAL_S, self.backend.check_interval or 0)
        while True:
            began = time.monotonic()
            self._came_up.clear()
            if self.track.state == "up":
                first_since_up = identified_since != self.track.since
                identified_since = self.track.since
                if await self._discover_once(client, first_since_up):
                    changed(self.name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(began + interval_s - time.monotonic()):
                    await self._came_up.wait()

    async def _discover_once(self, client: ProbeClient, first_since_up: bool) -> bool:
        """Read kind, version and models. Whether any of them changed."""
        before = self._findings()
        target = replace(self.target, timeout_s=DISCOVERY_TIMEOUT_S)
        try:
            fresh = first_since_up or target.kind is None
            if self.backend.engine == "auto" and fresh:
                target = replace(target, kind=await self._kind(client, target))
                self.target = replace(self.target, kind=target.kind)
            known_version = None if fresh else self.version
            self._note(await list_models(client, target, known_version=known_version))
        except OurFault as problem:
            self._complain("could not read models", problem)
        except Exception:  # as in _probe_once
            log.exception("reading models failed in an unforeseen way", backend=self.name)
        return before != self._findings()

    def _complain(self, what: str, problem: OurFault) -> None:
        """Say what is wrong with this machine, now and then."""
        if time.monotonic() > self._silent_until:
            self._silent_until = time.monotonic() + COMPLAINT_INTERVAL_S
            log.warning(what, backend=self.name, problem=str(problem))

    async def _kind(self, client: ProbeClient, target: Target) -> KindName | None:
        kind = await identify(client, target)
        self._unclear = self._unclear + 1 if kind is None else 0
        return OTHER if self._unclear >= IDENTIFY_ATTEMPTS else kind

    def _findings(self) -> tuple[object, ...]:
        cards = [each.card for each in self.models]
        told = (self.version, self.models, cards, self.models_problem)
        return self.target.kind, *told, self.discovered

    def _note(self, found: Inventory | Unreadable) -> None:
        """Keep what was found; a list that cannot be read leaves the previous active one."""
        self.discovered = True
        if isinstance(found, Unreadable):
            if self.backend.models is None and found.reason != self.models_problem:
                log.warning("models not readable", backend=self.name, problem=found.reason)
                self.models_problem = found.reason
            return
        self.models_problem = None
        self.version = found.version
        names = self.backend.models
        models = steady(self.models, found.models)
        self.models = models if names is None else declared(names, models)


async def _turn_s() -> float:
    """Seconds that one turn of the event loop takes: what is ready goes first."""
    began = time.monotonic()
    await asyncio.sleep(0)
    return time.monotonic() - began
