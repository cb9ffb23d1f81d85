"""The certificates' loop: fetch what is due, take over what changed, tell how they stand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from infergate.certificates.sites import sites
from infergate.config.load import LoadedConfig
from infergate.errors import InfergateError
from infergate.live.revisions import current, digests
from infergate.log import log
from infergate.paths import Home

_LOOK_INTERVAL_S = 5.0
"""Between two looks at the files: a certificate that somebody else put there is served within this
time."""

_SHORTEST_S = 0.2


class CertificateLoop:
    """Keeps one gateway's certificates current, as long as `run` runs.

    apply_again: renders the active configuration anew, in a revision of its own; told why.
    """

    def __init__(
        self, home: Home, loaded: Callable[[], LoadedConfig], apply_again: Callable[[str], None]
    ) -> None:
        self._home, self._loaded, self._apply_again = home, loaded, apply_again
        self._woken = asyncio.Event()
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
        from infergate.certificates.overview import overview
        from infergate.certificates.report import write_report
        from infergate.certificates.served import served_certificates
        from infergate.certificates.watch import ask_when_to_renew, fetch_due, next_look

        loaded, home = self._loaded(), self._home
        try:
            fetch_due(loaded, home)
            self._take_over(loaded)
            ask_when_to_renew(loaded, home)
            served = served_certificates(loaded, home)
            write_report(home.certificates, overview(loaded, home, served, time.time()))
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
        from infergate.certificates.served import served_certificates

        revision = current(self._home)
        if revision is None or revision.text != loaded.text:
            return  # being changed: whoever does it takes them over
        served = served_certificates(loaded, self._home).values()
        paths = {
            str(path)
            for each in served
            for path in (each.certificate, each.key, each.client_ca)
            if path is not None
        }
        if digests({*paths, *revision.certificates}) != revision.certificates:
            self._apply_again("certificates changed")
            log.info("certificates taken over")
