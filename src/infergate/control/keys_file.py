"""Follows `auth.keys_file` and what it includes: an edit counts within a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from infergate.config.load import LoadedConfig
from infergate.errors import InfergateError, Outdated
from infergate.files import stamp
from infergate.log import log
from infergate.paths import Home
from infergate.state.keys_file import KeysFile, read_keys_file
from infergate.state.publish import publish_keys
from infergate.store.database import Database

LOOK_INTERVAL_S = 0.5
AGAIN_AFTER_S = 5.0
"""After keys that could not be published: the database may be away."""

Seen = tuple[str | None, tuple[object, ...]]


class KeysFileWatch:
    """Publishes the keys anew whenever the file says something else."""

    def __init__(self, home: Home, database: Database, loaded: Callable[[], LoadedConfig]) -> None:
        self._home, self._database, self._loaded = home, database, loaded
        self._found = KeysFile()

    async def run(self) -> None:
        """Until cancelled."""
        self._found = await asyncio.to_thread(read_keys_file, self._loaded(), self._home)
        self._tell("")
        seen = self._look()
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            now = self._look()
            if now == seen:
                continue
            if now[1][:1] == (None,):
                await asyncio.sleep(LOOK_INTERVAL_S)  # an editor may be about to put it there
                now = self._look()
            try:
                await self._take()
            except InfergateError as problem:
                log.error("keys file not taken over; the old keys hold", problem=str(problem))
                await asyncio.sleep(AGAIN_AFTER_S)
                continue
            files_are_others = len(self._look()[1]) != len(now[1])
            seen = self._look() if files_are_others else now

    async def _take(self) -> None:
        problem = self._found.problem
        self._found = await asyncio.to_thread(read_keys_file, self._loaded(), self._home)
        try:
            count = await asyncio.to_thread(
                publish_keys, self._home, self._loaded(), self._database, if_active=True
            )
        except Outdated:
            return  # the keys of the new configuration are published when it is taken over
        log.info("keys file read", keys=count)
        self._tell(problem)

    def _tell(self, before: str) -> None:
        if self._found.problem and self._found.problem != before:
            log.warning("keys file", problem=self._found.problem)

    def _look(self) -> Seen:
        """Differs when the file, or one that it includes, is another one."""
        loaded = self._loaded()
        name = loaded.config.auth.keys_file
        files: tuple[Path, ...] = () if name is None else (loaded.resolve(name),)
        files += tuple(file for file in self._found.files if file not in files)
        return name, tuple(map(stamp, files))
