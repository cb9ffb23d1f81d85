"""Whether the web services beside the models are there, as a file for `infergate status`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infergate.config.load import LoadedConfig
from infergate.config.services import Service
from infergate.errors import InfergateError
from infergate.files import write_atomically
from infergate.health.tracker import Liveness, Track, observe
from infergate.log import log
from infergate.paths import Home
from infergate.state_file import read_state

if TYPE_CHECKING:  # httpx takes longer to load than `infergate status` to run
    from infergate.health.ask import Client, Target
    from infergate.health.probe import ProbeResult


@dataclass(frozen=True)
class ServiceReport:
    """One service as it was last seen. reason: in plain words; since: Unix seconds."""

    name: str
    url: str
    state: Liveness
    reason: str
    since: float


def read_services(path: Path) -> tuple[ServiceReport, ...]:
    """What was last written; nothing if there is nothing that can be read."""
    return read_state(path, lambda said: tuple(ServiceReport(**each) for each in said)) or ()


class Services:
    """Probes every service, as often as the backends, and writes down what changed."""

    def __init__(self, home: Home, loaded: Callable[[], LoadedConfig]) -> None:
        self._home = home
        self._loaded = loaded
        self._tracks: dict[tuple[str, str], Track] = {}
        self._clients: dict[tuple[bool, Path | None], Client] = {}

    async def run(self) -> None:
        known: list[ServiceReport] | None = None
        while True:
            loaded = self._loaded()
            services, health = loaded.config.services, loaded.config.health
            await asyncio.gather(
                *(self._probe(name, each, loaded) for name, each in services.items())
            )
            reports = self._reports(services)
            if reports != known:
                try:
                    write_atomically(self._home.services, json.dumps([asdict(r) for r in reports]))
                    known = reports
                except InfergateError as problem:
                    log.error("the report of services could not be written", problem=str(problem))
            await asyncio.sleep(health.interval)

    async def _probe(self, name: str, service: Service, loaded: LoadedConfig) -> None:
        from infergate.health.probe import OurFault

        health, now = loaded.config.health, time.time()
        track = self._tracks.setdefault((name, service.url), Track(since=now))
        try:
            result = await self._ask(service, loaded)
        except OurFault as problem:
            log.warning("could not probe a service", service=name, problem=str(problem))
            return
        self._tracks[name, service.url], change = observe(
            track, result.ok, result.reason, now, rise=health.rise, fall=health.fall
        )
        if change is not None and change.before != "unknown":
            log.info("a service changed", service=name, state=change.after, reason=change.reason)

    def _reports(self, services: Mapping[str, Service]) -> list[ServiceReport]:
        wanted = {(name, service.url) for name, service in services.items()}
        self._tracks = {key: track for key, track in self._tracks.items() if key in wanted}
        return [
            ServiceReport(name, url, track.state, track.reason, track.since)
            for (name, url), track in self._tracks.items()
        ]

    async def _ask(self, service: Service, loaded: LoadedConfig) -> ProbeResult:
        """One probe: its path, its port, or any answer of its root. Raises OurFault."""
        from infergate.health.ask import NoAnswer, get
        from infergate.health.probe import ProbeResult, probe

        client, target = self._client(service, loaded), _target(service, loaded)
        if target.check != "auto":
            return await probe(client, target)
        answer = await get(client, target, "/")
        if isinstance(answer, NoAnswer):
            return ProbeResult(False, answer.reason, answer.latency_s)
        reason = f"HTTP {answer.status} from /"
        return ProbeResult(answer.status < 500, reason, answer.latency_s, answer.status)

    def _client(self, service: Service, loaded: LoadedConfig) -> Client:
        """Kept: reading the machine's certificates takes a tenth of a second."""
        from infergate.health.ask import make_client

        ca_file = None if service.ca_file is None else loaded.resolve(service.ca_file)
        kind = (service.verify_tls, ca_file)
        if kind not in self._clients:
            self._clients[kind] = make_client(verify_tls=service.verify_tls, ca_file=ca_file)
        return self._clients[kind]


def _target(service: Service, loaded: LoadedConfig) -> Target:
    from infergate.health.ask import Target

    return Target(
        service.http_url,
        timeout_s=loaded.config.health.timeout,
        verify_tls=service.verify_tls,
        check="tcp" if service.is_grpc else service.health,
    )
