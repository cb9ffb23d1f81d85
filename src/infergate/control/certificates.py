"""The certificates' loop: fetch what is due, take over what changed, tell how they stand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from infergate.certificates.sites import sites
from infergate.config.load import LoadedConfig
from infergate.errors import InfergateError
from infergate.paths import Home

if TYPE_CHECKING:  # it brings cryptography, which a gateway without TLS does not need
    from infergate.certificates.watch import Stamp

log = structlog.get_logger(__name__)

_LOOK_INTERVAL_S = 5.0
"""Between two looks at the files: so soon a certificate that somebody else put there is served."""

_SHORTEST_S = 0.2


class Certificates:
    """Keeps one gateway's certificates current, as long as `run` runs."""

    def __init__(self, home: Home, loaded: Callable[[], LoadedConfig]) -> None:
        self._home, self._loaded = home, loaded
        self._woken = asyncio.Event()
        self._taken: Stamp | None = None
        self._revision: Path | None = None
        self._trouble = ""

    def wake(self) -> None:
        """The configuration is another one."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            wait_s = _LOOK_INTERVAL_S
            if sites(self._loaded().config):
                wait_s = await asyncio.to_thread(self._look)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), wait_s)

    def _look(self) -> float:
        """Do what is due; how many seconds later to look again."""
        from infergate.certificates.overview import overview, write_overview
        from infergate.certificates.served import served_certificates
        from infergate.certificates.watch import ask_when_to_renew, fetch_due, next_look

        loaded, home = self._loaded(), self._home
        try:
            fetch_due(loaded, home)
            self._take_over(loaded)
            ask_when_to_renew(loaded, home)
            served = served_certificates(loaded, home)
            write_overview(home.certificates, overview(loaded, home, served, time.time()))
            self._trouble = ""
        except (InfergateError, OSError) as problem:
            if self._trouble != str(problem):  # once, not at every look
                self._trouble = str(problem)
                log.error("certificates not taken over; trying again", problem=str(problem))
            return _LOOK_INTERVAL_S
        now = time.time()
        return max(_SHORTEST_S, min(_LOOK_INTERVAL_S, next_look(loaded, home, now) - now))

    def _take_over(self, loaded: LoadedConfig) -> None:
        """Have nginx read the files again where they changed; open streams go on."""
        from infergate.certificates.watch import stamp

        found, revision = stamp(loaded, self._home), self._home.current.resolve()
        told_by_another = revision != self._revision and not _newer(found, revision)
        if found != self._taken and not told_by_another:
            from infergate.nginx.apply import apply  # the renderer takes long to load
            from infergate.nginx.engine import choose_engine

            engine = choose_engine(loaded.config.engine, self._home.root).engine
            revision = apply(loaded, self._home, engine).path
            log.info("certificates taken over", revision=revision.name)
        self._taken, self._revision = found, revision


def _newer(found: Stamp, revision: Path) -> bool:
    """Whether nginx was told to read its files before they were written."""
    told = (revision / "nginx.conf").stat().st_mtime_ns
    return any(mtime_ns > told for _, _, mtime_ns in found)
