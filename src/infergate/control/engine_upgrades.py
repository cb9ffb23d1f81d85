"""Looks for a newer engine once a week, where the configuration allows it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from infergate.config.root import Config
from infergate.engine.find import fetched_at
from infergate.engine.running import running_engine
from infergate.log import log
from infergate.paths import Home

WEEK_S = 7 * 86400.0
_AGAIN_AFTER_S = 86400.0
"""After a look that failed."""

_INTERVAL_S = 600.0


def is_due(config: Config, home: Home, now: float) -> bool:
    """Whether a week has gone since Debian was asked for the engine that runs."""
    argv = running_engine(home.root)
    fetched = fetched_at(argv) if argv else None
    return config.engine_upgrade == "weekly" and fetched is not None and now - fetched > WEEK_S


class EngineUpgrades:
    """Runs `infergate engine upgrade`, which is another process: it takes long and much memory."""

    def __init__(self, path: Path, home: Home, config: Callable[[], Config]) -> None:
        self._path, self._home, self._config = path, home, config

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            if is_due(self._config(), self._home, time.time()) and not await self._upgrade():
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def _upgrade(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infergate", "engine", "upgrade", "-c", str(self._path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        said, _ = await process.communicate()
        tell = log.error if process.returncode else log.info
        tell("the weekly look for a newer engine", said=said.decode(errors="replace").strip())
        return process.returncode == 0
