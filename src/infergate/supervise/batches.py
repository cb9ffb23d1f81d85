"""Files and batches (docs/batches.md): their socket is held here, and their process runs as long as
the active revision has them, because batches go on whether or not anybody asks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

from infergate.errors import EngineError
from infergate.log import log
from infergate.paths import Home
from infergate.supervise.child import Child
from infergate.supervise.tier_processes import TierProcesses, Watched
from infergate.supervise.tier_settings import tier_settings, tier_socket

_LOOK_S = 0.5


class BatchesProcess:
    """That of one gateway, or none. It reads the configuration itself, and is not begun anew with a
    new one. config: its file."""

    def __init__(
        self, config: Path, home: Home, environ: Mapping[str, str], processes: TierProcesses
    ) -> None:
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
            if told.get("batches") and self._running is None:
                self._begin(told["user"])
            elif not told.get("batches"):
                await self._end()
        except (EngineError, OSError, KeyError) as problem:
            log.error("files and batches do not run", problem=str(problem))
            return
        self._seen = active
        self._processes.follows("batches", str(active))

    def _begin(self, user: str | None) -> None:
        self._listener = tier_socket(self._home.batches_socket, user)
        number = self._listener.fileno()
        command = ["-m", "infergate.api.batches", str(self._config), str(number)]
        self._watched = self._processes.watch("batches")
        child = Child(
            "what runs batches",
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
            self._home.batches_socket.unlink(missing_ok=True)
            self._listener = None
