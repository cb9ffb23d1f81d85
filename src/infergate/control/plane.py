"""The control plane's loops: probe, compile, publish; follow the files that change beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.config.root import Config
from infergate.control.bans import BanWatch
from infergate.control.certificates import CertificateLoop
from infergate.control.counting import Counting
from infergate.control.engine_upgrades import EngineUpgrades
from infergate.control.engines import Engines
from infergate.control.firewall import FirewallLog
from infergate.control.follow import follow
from infergate.control.groups import AGAIN_AFTER_S, Groups
from infergate.control.handing_on import HandingOn
from infergate.control.keys_file import KeysFileWatch
from infergate.control.learned import Learned
from infergate.control.live import Live
from infergate.control.load import LoadLoop
from infergate.control.memory import Memory
from infergate.control.published import Published
from infergate.control.services import Services
from infergate.control.shadow import ShadowLoop
from infergate.control.tracing import Traces
from infergate.control.trials import Trials
from infergate.errors import InfergateError, MemoryFull, Outdated
from infergate.health.monitor import BackendStatus, Monitor
from infergate.live.revisions import current, load_applied, named
from infergate.live.shared_memory import push
from infergate.live.unfinished import read_unfinished
from infergate.log import log
from infergate.loops import Loops
from infergate.nginx.addresses import Addresses, host_names, resolve
from infergate.nginx.tls import responders, served
from infergate.state.in_force import bring_into_force
from infergate.state.publish import (
    publish_conditions,
    publish_drained,
    publish_keys,
)
from infergate.state_folder import home_for
from infergate.store.audit import newest
from infergate.store.database import Database, database_for
from infergate.store.revisions import note_revision

FOLLOW_INTERVAL_S = 0.5
"""Between two looks at the database: a change counts within a second."""

REPORT_INTERVAL_S = 2.0
"""Between two reports of numbers that move all the time; a change of state is reported at once."""

PAUSE_AFTER = 2.0
"""A publication is followed by a pause of so many times its length: the probes have the rest."""

RESOLVE_INTERVAL_S = 30.0
"""Between two look-ups of the backends' names; home DNS has no shorter TTL in practice."""


_NO_DATABASE = "the keys hold as they are: the database cannot be read, or they cannot be published"
_NO_ROOM = "nginx has no room for all keys; those that ended are refused, and some new ones too"


class ControlPlane:
    """Keeps nginx's shared memory true. Nothing on a request's path waits for it."""

    def __init__(self, config_path: Path) -> None:
        self._home = home_for(config_path)
        # Not the file: what somebody has begun to write there is not active.
        self._declared = load_applied(self._home, config_path)
        self._applied = named(self._home)
        self._loaded: LoadedConfig = bring_into_force(self._declared, self._home)
        self._database = database_for(self._loaded.config, self._home, keep=True)
        self._keys_due = True
        self._stop, self._changed = asyncio.Event(), asyncio.Event()
        config = self._loaded.config
        self._live = Live(self._home.socket)
        self._learned = Learned()
        self._certificates = CertificateLoop(self._home, lambda: self._loaded, self._apply_again)
        self._groups = Groups(self._home, lambda: self._declared, self._follow_changes)
        self._loops = Loops(self._home.loops)
        self._monitor = Monitor(
            config.backends, config.health, self._on_change, self._live.least, self._loops
        )
        self._published = Published(self._home, lambda: self._loaded, self._monitor.statuses)
        self._load = LoadLoop(
            self._home,
            self._live,
            self._config,
            self._monitor.statuses,
            lambda: self._published.peers,
        )

    def _config(self) -> Config:
        return self._loaded.config

    async def run(self) -> None:
        """Run until SIGTERM, or until the supervisor that started us is gone."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        # Only now, when it would not die of it, may an apply tell it to reload.
        (self._home.run / "control.pid").write_text(str(os.getpid()))
        self._published.publish(everything=True)
        async with self._loops.running(dict(self._all_loops())):
            await self._until_stopped()

    def _all_loops(self) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
        """Each with what it does, as `infergate status` calls it."""
        home, database = self._home, self._database

        def loaded() -> LoadedConfig:
            return self._loaded

        return (
            ("reading nginx's memory", self._live.run),
            ("probing the backends", self._monitor.run),
            ("publishing changes", self._publish_changes),
            ("following the keys file", KeysFileWatch(home, database, loaded).run),
            ("following the database", self._follow_store),
            ("following names", self._follow_names),
            ("following groups", self._groups.run),
            ("counting", Counting(home, database, loaded, self._learned).run),
            ("judging who is banned", BanWatch(home, database, self._config).run),
            ("keeping the firewall's log", FirewallLog(home, self._config, database).run),
            ("handing the log on", HandingOn(home, self._config).run),
            ("sending traces", Traces(home, loaded).run),
            ("reporting", self._report_numbers),
            ("probing the services", Services(home, loaded).run),
            ("shadowing", ShadowLoop(home, self._config).run),
            ("trying backends that failed", Trials(home, self._live, self._config).run),
            ("telling the backends' load", self._load.run),
            (
                "telling what the engines hold",
                Engines(home, self._live, self._config, self._monitor.statuses, self._learned).run,
            ),
            ("renewing certificates", self._certificates.run),
            ("upgrading the engine", EngineUpgrades(self._declared.path, home, self._config).run),
            ("enlarging memory", Memory(home, self._live, loaded, self._apply_again).run),
        )

    def _on_change(self, status: BackendStatus) -> None:
        # A server that was down and is back is another one than the one that failed.
        if status.serves and status.name in self._published.down:
            with contextlib.suppress(InfergateError):
                push(self._home.socket, {"breakers": {"delete": [status.name]}})
        self._changed.set()

    async def _publish_changes(self) -> None:
        """What the probes find, all of a moment in one: of a thousand backends that go down at once
        the first is published at once, and the others with it or a moment later."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            began = time.monotonic()
            self._published.publish()
            await asyncio.sleep(PAUSE_AFTER * (time.monotonic() - began))

    async def _report_numbers(self) -> None:
        known = None
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            works = [status.vitals.work for status in self._monitor.statuses()]
            if works != known or not self._home.health.exists():
                known = works
                try:
                    self._published.report()
                except InfergateError as problem:
                    log.error("the report could not be written", problem=str(problem))

    def _reload(self) -> None:
        """SIGHUP: a new configuration has taken effect."""
        store = self._loaded.config.store
        self._applied = named(self._home)
        try:
            self._declared = load_applied(self._home, self._declared.path)
        except InfergateError as problem:
            log.error("the configuration was not reloaded", problem=str(problem))
            return
        if self._declared.config.store != store:
            log.info("the database is another one now; starting again")
            self._stop.set()
            return
        self._keys_due = True
        self._certificates.wake()
        self._published.take_over_asked()
        self._take(bring_into_force(self._declared, self._home))
        log.info("configuration reloaded")

    def _take(self, loaded: LoadedConfig) -> None:
        """Go on with this configuration. nginx has its backends already."""
        self._loaded = loaded
        self._monitor.update(loaded.config.backends, loaded.config.health)
        self._published.publish(everything=True)

    async def _follow_changes(self, database: Database | None = None) -> bool:
        """Backends that discovery found and, by the database, operators changed. Whether they are
        active now."""
        declared = self._declared
        try:
            loaded = await asyncio.to_thread(follow, declared, self._home, database)
        except InfergateError as problem:
            log.error("changed backends are not active; trying again", problem=str(problem))
            await asyncio.sleep(AGAIN_AFTER_S)
            return False
        if declared is not self._declared:
            return False  # reloaded meanwhile
        if loaded.config != self._loaded.config:
            self._take(loaded)
        elif loaded.besides != self._loaded.besides:
            self._loaded = loaded
        return True

    async def _follow_store(self) -> None:
        """Backends drained and keys changed by other processes, or at other gateways that share
        the database."""
        seen: int | None = None
        trouble = ""
        while True:
            if self._published.failed:
                await self._follow_changes()  # it may be that something else holds by now
                self._published.publish()
            if not all(each.exists() for each in self._home.snapshots):  # damaged: made anew
                self._keys_due = True
                self._published.publish(everything=True)
            await self._settle()
            try:
                newest_change = await asyncio.to_thread(newest, self._database)
                if newest_change != seen or self._keys_due:
                    await asyncio.to_thread(publish_drained, self._home, self._database)
                    publish_conditions(self._home, self._published.down)
                    self._keys_due = False
                    published = await self._publish_keys()
                    if not (await self._follow_changes(self._database) and published):
                        self._keys_due = True  # a reload meanwhile says so, too
                    seen = newest_change
                trouble = ""
            except InfergateError as problem:
                self._keys_due = True
                if trouble != str(problem):  # once, not twice a second
                    trouble = str(problem)
                    said = _NO_ROOM if isinstance(problem, MemoryFull) else _NO_DATABASE
                    log.error(said, why=trouble)
            await asyncio.sleep(FOLLOW_INTERVAL_S)

    async def _publish_keys(self) -> bool:
        """Whether they are those of the active configuration."""
        try:
            await asyncio.to_thread(
                publish_keys, self._home, self._loaded, self._database, if_active=True
            )
        except Outdated:
            return False
        return True

    async def _settle(self) -> None:
        """End what somebody was killed at, and take over what took effect without a word."""
        try:
            if read_unfinished(self._home) is not None:
                from infergate.control.settle import settle_abandoned  # it brings the renderer

                await asyncio.to_thread(settle_abandoned, self._home, self._declared.path)
        except InfergateError as problem:
            log.error("a change that nobody finished cannot be settled yet", problem=str(problem))
            await asyncio.sleep(AGAIN_AFTER_S)
        if read_unfinished(self._home) is None and self._applied != named(self._home):
            self._reload()

    async def _follow_names(self) -> None:
        """Names whose addresses changed: nginx has them in its files, so it is reloaded."""
        while True:
            await asyncio.sleep(RESOLVE_INTERVAL_S)
            found = await asyncio.to_thread(self._addresses)
            now = current(self._home)
            known = now.addresses if now else {}
            # A name that stopped resolving keeps its addresses (live/apply.py, look_up).
            if any(list(found[name]) != list(known.get(name, ())) for name in found):
                try:
                    await asyncio.to_thread(self._apply_again, "addresses changed")
                    log.info("addresses changed", names=sorted(found))
                except InfergateError as problem:
                    log.error("new addresses not taken over", problem=str(problem))

    def _addresses(self) -> Addresses:
        """Of what nginx has names of."""
        names = host_names(self._loaded.config)
        with contextlib.suppress(InfergateError, OSError):  # control/certificates.py tells of it
            names |= responders(served(self._loaded, self._home))
        return resolve(names)

    def _apply_again(self, why: str) -> None:
        """Render the active configuration anew, and let nginx have it."""
        from infergate.engine.choose import choose_engine
        from infergate.live.apply import apply_again  # the renderer takes long to load

        loaded = self._loaded
        engine = choose_engine(loaded.config.engine, self._home.root).engine
        revision = apply_again(loaded, self._home, engine)
        self._applied = named(self._home)
        note_revision(self._database, revision.number, loaded, why=why)

    async def _until_stopped(self) -> None:
        """Until somebody says so, or the supervisor is gone: it would soon start a second control
        plane beside this one."""
        parent = os.getppid()
        while not self._stop.is_set():
            if os.getppid() != parent:
                log.warning("the supervisor is gone; stopping too, nginx goes on")
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), FOLLOW_INTERVAL_S)
