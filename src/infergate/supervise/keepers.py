"""What keeps something for clients: files and batches (docs/batches.md), and responses
(docs/responses.md). The socket of each is held here, and its process runs as long as the active
revision has it, because what was begun goes on whether or not anybody asks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infergate.errors import EngineError
from infergate.log import log
from infergate.paths import Home
from infergate.supervise.child import Child
from infergate.supervise.tier_processes import TierProcesses, Watched
from infergate.supervise.tier_settings import tier_settings, tier_socket

_LOOK_S = 0.5


@dataclass(frozen=True)
class Keeper:
    """name: in the tier's settings, and of its package in infergate.api. what: for people."""

    name: str
    what: str


KEEPERS = (Keeper("batches", "files and batches"), Keeper("responses", "responses that are kept"))


class KeeperProcess:
    """That of one gateway, or none. It reads the configuration itself, and is not begun anew with a
    new one. config: its file."""

    def __init__(
        self,
        keeper: Keeper,
        config: Path,
        home: Home,
        environ: Mapping[str, str],
        processes: TierProcesses,
    ) -> None:
        self._keeper, self._socket = keeper, home.keeper_socket(keeper.name)
        self._config, self._home, self._environ = config, home, environ
        self._processes = processes
        self._watched: Watched | None = None
        self._seen: object = None
        self._listener: socket.socket | None = None
        self._running: asyncio.Task[None] | None = None

    async def keep_running(self) -> None:
        """Have it while the active revision wants it, until cancelled."""
        try:
            while True:
                await self._follow()
                await asyncio.sleep(_LOOK_S)
        finally:
            await self._end()

    async def _follow(self) -> None:
        try:
            active = self._home.current.readlink()
        except OSError:
            return
        if active == self._seen:
            return
        told = tier_settings(self._home) or {}
        try:
            if told.get(self._keeper.name) and self._running is None:
                self._begin(told["user"])
            elif not told.get(self._keeper.name):
                await self._end()
        except (EngineError, OSError, KeyError) as problem:
            log.error(f"{self._keeper.what} cannot be had", problem=str(problem))
            return
        self._seen = active
        self._processes.follows(self._keeper.name, str(active))

    def _begin(self, user: str | None) -> None:
        self._listener = tier_socket(self._socket, user)
        number = self._listener.fileno()
        module = f"infergate.api.{self._keeper.name}"
        command = ["-m", module, str(self._config), str(number)]
        self._watched = self._processes.watch(self._keeper.name)
        child = Child(
            f"what has {self._keeper.what}",
            command,
            self._home,
            self._environ,
            inherited=[number],
            watched=self._watched,
        )
        self._running = asyncio.create_task(child.keep_running())

    async def _end(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None
        if self._watched is not None:
            self._processes.forget(self._watched)
            self._watched = None
        if self._listener is not None:
            self._listener.close()
            self._socket.unlink(missing_ok=True)
            self._listener = None
