"""One backend being watched: its probe loop, its discovery loop, and what they found out."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import httpx
import structlog

from infergate.config.backends import Backend, Health
from infergate.health.ask import OurFault, Target
from infergate.health.inventory import Inventory, ModelInfo, Unreadable, declared
from infergate.health.probe import NOT_FOUND, ProbeResult, identify, list_models, probe
from infergate.health.tracker import Track, observe

log = structlog.get_logger(__name__)

DISCOVERY_INTERVAL_S = 5.0
"""Between two readings of the models. With DISCOVERY_TIMEOUT_S a new model is known in 10 s."""

DISCOVERY_TIMEOUT_S = 4.0
"""For one reading. Longer than a probe's: a big Ollama box reads a manifest per model."""

JITTER = 0.1
"""The interval is shortened at random by up to this part, so that probes of many backends, or
of many gateways, do not stay in step. Never lengthened: rise and fall times interval hold."""


@dataclass
class Watch:
    """What is known about one backend, and the loops that keep it current."""

    name: str
    backend: Backend
    health: Health
    target: Target
    track: Track
    version: str | None = None
    models: tuple[ModelInfo, ...] = ()
    models_problem: str | None = None
    last_latency_s: float | None = None
    _came_up: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def new(cls, name: str, backend: Backend, health: Health, now: float) -> Watch:
        """A backend that nothing is known about. now: Unix seconds."""
        return cls(
            name,
            backend,
            health,
            Target.of(backend, health.timeout),
            Track(since=now),
            models=declared(backend.models or (), ()),
        )

    def asks_like(self, backend: Backend) -> bool:
        """Whether backend is asked in the same way as this one, so that what is known holds."""
        ours, theirs = (Target.of(each, timeout_s=1) for each in (self.backend, backend))
        return ours == theirs

    def continued(self, backend: Backend, health: Health) -> Watch:
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

    async def run(self, client: httpx.AsyncClient, changed: Callable[[str], None]) -> None:
        """Probe and discover until cancelled. changed: called with the name after a change."""
        if self.track.state == "up":
            self._came_up.set()
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._probe_forever(client, changed))
            loops.create_task(self._discover_forever(client, changed))

    async def _probe_forever(
        self, client: httpx.AsyncClient, changed: Callable[[str], None]
    ) -> None:
        while True:
            began = time.monotonic()
            result = await self._probe_once(client)
            if result is not None and self._take(result):
                changed(self.name)
            jitter = random.uniform(1 - JITTER, 1)  # noqa: S311
            await asyncio.sleep(max(0, began + self.health.interval * jitter - time.monotonic()))

    async def _probe_once(self, client: httpx.AsyncClient) -> ProbeResult | None:
        """One result, or None if nothing can be said about the backend."""
        try:
            return await probe(client, self.target)
        except OurFault as problem:
            log.warning("could not probe", backend=self.name, problem=str(problem))
        except Exception:  # noqa: BLE001  one strange backend must not end its own watch
            log.exception("probing failed in an unforeseen way", backend=self.name)
        return None

    def _take(self, result: ProbeResult) -> bool:
        """Count a result. Whether the state changed."""
        self.last_latency_s = result.latency_s
        self.track, transition = observe(
            self.track,
            result.ok,
            result.reason,
            time.time(),
            rise=self.health.rise,
            fall=self.health.fall,
        )
        if self.backend.engine == "auto" and result.status in NOT_FOUND and not result.ok:
            self.target = replace(self.target, kind=None)  # something else runs there now
        if transition is None:
            return False
        log.info(
            f"backend {transition.after}",
            backend=self.name,
            reason=transition.reason,
            before=transition.before,
        )
        if transition.after == "up":
            self._came_up.set()
        else:
            self._came_up.clear()
        return True

    async def _discover_forever(
        self, client: httpx.AsyncClient, changed: Callable[[str], None]
    ) -> None:
        while True:
            await self._came_up.wait()
            began = time.monotonic()
            first_since_up = True
            while self._came_up.is_set():
                began = time.monotonic()
                if await self._discover_once(client, first_since_up):
                    changed(self.name)
                first_since_up = False
                await asyncio.sleep(max(0, began + DISCOVERY_INTERVAL_S - time.monotonic()))

    async def _discover_once(self, client: httpx.AsyncClient, first_since_up: bool) -> bool:
        """Read kind, version and models. Whether any of them changed."""
        before = (self.target.kind, self.version, self.models)
        target = replace(self.target, timeout_s=DISCOVERY_TIMEOUT_S)
        try:
            if self.backend.engine == "auto" and (first_since_up or target.kind is None):
                target = replace(target, kind=await identify(client, target))
                self.target = replace(self.target, kind=target.kind)
            known = None if first_since_up else self.version
            self._note(await list_models(client, target, known_version=known))
        except OurFault as problem:
            log.warning("could not read models", backend=self.name, problem=str(problem))
        except Exception:  # noqa: BLE001  as in _probe_once
            log.exception("reading models failed in an unforeseen way", backend=self.name)
        return before != (self.target.kind, self.version, self.models)

    def _note(self, found: Inventory | Unreadable) -> None:
        """Keep what was found; a list that cannot be read leaves the previous one in force."""
        if isinstance(found, Unreadable):
            if found.reason != self.models_problem and self.backend.models is None:
                log.warning("models not readable", backend=self.name, problem=found.reason)
            self.models_problem = found.reason
            return
        self.models_problem = None
        self.version = found.version
        names = self.backend.models
        self.models = found.models if names is None else declared(names, found.models)
