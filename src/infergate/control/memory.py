"""Watches how full nginx's shared memory is: says so, and has it made anew when more is needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from infergate.config.load import LoadedConfig
from infergate.control.live import Live
from infergate.errors import InfergateError
from infergate.log import log
from infergate.nginx.zones import MB, needs, zones
from infergate.paths import Home

INTERVAL_S = 2.0
AGAIN_AFTER_S = 60.0
"""After nginx was reloaded for more memory: one reload in a minute is enough."""


class Memory:
    """Between the configuration's changes, keys and models come and go; nginx's zones stay."""

    def __init__(
        self,
        home: Home,
        live: Live,
        loaded: Callable[[], LoadedConfig],
        apply_again: Callable[[str], None],
    ) -> None:
        self._home, self._live, self._loaded = home, live, loaded
        self._apply_again = apply_again
        self._warned: frozenset[str] = frozenset()
        self._not_before = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            state = self._live.state
            if state is None:
                continue
            short = {fill.zone: fill for fill in state.zones if fill.is_short}
            for name in sorted(short.keys() - self._warned):
                log.warning(
                    "shared memory is getting full", zone=name, used=f"{short[name].used:.0%}"
                )
            self._warned = frozenset(short)
            if short and time.monotonic() >= self._not_before:
                sizes = {fill.zone: fill.bytes for fill in state.zones}
                await asyncio.to_thread(self._grow, sizes)

    def _grow(self, sizes: dict[str, int]) -> None:
        loaded = self._loaded()
        wanted = zones(loaded.config, needs(loaded, self._home))
        larger = [zone.name for zone in wanted if zone.mb * MB > sizes.get(f"ig_{zone.name}", 0)]
        self._not_before = time.monotonic() + AGAIN_AFTER_S
        if not larger:
            return
        try:
            self._apply_again("more shared memory")
            log.info("nginx has more shared memory", zones=larger)
        except InfergateError as problem:
            log.error("nginx could not be given more shared memory", problem=str(problem))
