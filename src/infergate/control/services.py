"""Whether the web services next to the models are there, as a file for `infergate status`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from infergate.config.load import LoadedConfig
from infergate.config.services import Forward, Service
from infergate.errors import InfergateError
from infergate.files import write_atomically
from infergate.health.tracker import Liveness, Track, observe
from infergate.log import log
from infergate.paths import Home
from infergate.state_file import read_state

if TYPE_CHECKING:  # httpx takes longer to load than `infergate status` to run
    from infergate.health.ask import ProbeClient, Target
    from infergate.health.probe import ProbeResult


Part = Literal["service", "login"]


@dataclass(frozen=True)
class SeenService:
    """A server as it was last seen. reason: in plain words; since: Unix seconds."""

    url: str
    state: Liveness
    reason: str
    since: float


@dataclass(frozen=True)
class ServiceReport(SeenService):
    """One service. login: who is asked about its requests (`forward`), where somebody is."""

    name: str
    login: SeenService | None = None


def read_services(path: Path) -> tuple[ServiceReport, ...]:
    """What was last written; nothing if there is nothing that can be read."""
    return read_state(path, lambda said: tuple(_report(each) for each in said)) or ()


def _report(said: dict[str, Any]) -> ServiceReport:
    login = said.get("login")
    return ServiceReport(**{**said, "login": SeenService(**login) if login else None})


class Services:
    """Probes every service, as often as the backends, and writes down what changed."""

    def __init__(self, home: Home, loaded: Callable[[], LoadedConfig]) -> None:
        self._home = home
        self._loaded = loaded
        self._tracks: dict[tuple[str, Part, str], Track] = {}
        self._clients: dict[tuple[bool, Path | None], ProbeClient] = {}

    async def run(self) -> None:
        known: list[ServiceReport] | None = None
        while True:
            loaded = self._loaded()
            services, health = loaded.config.services, loaded.config.health
            await asyncio.gather(
                *(self._probe(name, each, loaded) for name, each in services.items()),
                *(
                    self._probe_login(name, each.forward, loaded)
                    for name, each in services.items()
                    if each.forward is not None
                ),
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
        asked = self._ask(service, loaded)
        await self._note(name, "service", service.url, asked, loaded)

    async def _probe_login(self, name: str, forward: Forward, loaded: LoadedConfig) -> None:
        """Whether it takes a connection: a question about nobody would be in its log each time."""
        from infergate.health.ask import Target
        from infergate.health.probe import probe

        timeout_s = loaded.config.health.timeout
        target = Target(forward.url, timeout_s=timeout_s, check="tcp")
        asked = probe(self._client(forward.verify_tls, None), target)
        await self._note(name, "login", forward.url, asked, loaded)

    async def _note(
        self, name: str, part: Part, url: str, asked: Awaitable[ProbeResult], loaded: LoadedConfig
    ) -> None:
        from infergate.health.probe import OurFault

        health, now, key = loaded.config.health, time.time(), (name, part, url)
        track = self._tracks.setdefault(key, Track(since=now))
        try:
            result = await asked
        except OurFault as problem:
            log.warning(f"could not probe a {part}", service=name, problem=str(problem))
            return
        self._tracks[key], change = observe(
            track, result.ok, result.reason, now, rise=health.rise, fall=health.fall
        )
        if change is not None and change.before != "unknown":
            what = "a service changed" if part == "service" else "the login of a service changed"
            log.info(what, service=name, state=change.after, reason=change.reason)

    def _reports(self, services: Mapping[str, Service]) -> list[ServiceReport]:
        urls: dict[tuple[str, Part], str] = {
            (name, "service"): s.url for name, s in services.items()
        }
        urls |= {(name, "login"): s.forward.url for name, s in services.items() if s.forward}
        wanted = {(*key, url) for key, url in urls.items()}
        self._tracks = {key: track for key, track in self._tracks.items() if key in wanted}
        seen = {
            (name, part): SeenService(url, track.state, track.reason, track.since)
            for (name, part, url), track in self._tracks.items()
        }
        return [
            ServiceReport(**vars(seen[name, "service"]), name=name, login=seen.get((name, "login")))
            for name in services
        ]

    async def _ask(self, service: Service, loaded: LoadedConfig) -> ProbeResult:
        """One probe: its path, its port, or any answer of its root. Raises OurFault."""
        from infergate.health.ask import NoAnswer, get
        from infergate.health.probe import ProbeResult, probe

        ca_file = None if service.ca_file is None else loaded.resolve(service.ca_file)
        client, target = self._client(service.verify_tls, ca_file), _target(service, loaded)
        if target.check != "auto":
            return await probe(client, target)
        answer = await get(client, target, "/")
        if isinstance(answer, NoAnswer):
            return ProbeResult(False, answer.reason, answer.latency_s)
        reason = f"HTTP {answer.status} from /"
        return ProbeResult(answer.status < 500, reason, answer.latency_s, answer.status)

    def _client(self, verify_tls: bool, ca_file: Path | None) -> ProbeClient:
        """Kept: reading the machine's certificates takes a tenth of a second."""
        from infergate.health.ask import make_client

        kind = (verify_tls, ca_file)
        if kind not in self._clients:
            self._clients[kind] = make_client(verify_tls=verify_tls, ca_file=ca_file)
        return self._clients[kind]


def _target(service: Service, loaded: LoadedConfig) -> Target:
    from infergate.health.ask import Target

    return Target(
        service.http_url,
        timeout_s=loaded.config.health.timeout,
        verify_tls=service.verify_tls,
        check="tcp" if service.is_grpc else service.health,
    )
