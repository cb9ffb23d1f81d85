"""Watches the access log for offenders, bans them, and keeps nginx's list true.

A reload of nginx starts new workers, and the old ones stay until their streams end; so bans are
activated together, and what runs out waits longer than what is new.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from infergate.bans.judge import Judge, Offender, ban_duration_s, protected_networks
from infergate.bans.offences import offence_in
from infergate.config.root import Config
from infergate.errors import InfergateError
from infergate.ledger.tail import Tail
from infergate.live.bans import enforce
from infergate.log import log
from infergate.paths import Home
from infergate.store.audit import newest
from infergate.store.bans import Ban, active_bans, ban_anew
from infergate.store.database import Database

INTERVAL_S = 1.0
NEW_BANS_AFTER_S = 10.0
"""Between two reloads for new bans: with endless streams, no more than six generations a minute."""
EXPIRY_AFTER_S = 60.0
"""Between two reloads because bans ran out."""


class BanWatch:
    """The bans of one gateway, as long as `run` runs."""

    def __init__(self, home: Home, database: Database, config: Callable[[], Config]) -> None:
        self._home, self._database, self._config = home, database, config
        self._judge = Judge()
        self._tail: Tail | None = None
        self._seen = -1
        self._active: tuple[Ban, ...] = ()
        self._enforced: frozenset[str] | None = None
        self._reloaded = float("-inf")
        self._problem = ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._once)
                self._problem = ""
            except (InfergateError, OSError) as problem:
                if self._problem != str(problem):
                    self._problem = str(problem)
                    log.error("bans are not activated; trying again", why=self._problem)
            await asyncio.sleep(INTERVAL_S)

    def _once(self) -> None:
        self._follow_store()
        self._judge_log()
        self._enforce()

    def _judge_log(self) -> None:
        """Ban who offended too often in what was logged since; nobody at the first look."""
        config = self._config()
        if config.bans.mode == "off":
            self._close()
            return
        if self._tail is None:
            self._tail = Tail(self._home.access_log, {})
            self._tail.skip()
        protected, banned = protected_networks(config), self._banned()
        for piece in self._tail.pieces():
            # Not splitlines: a client's U+2028 would end its line before it ends.
            for line in piece.data.decode("utf-8", "replace").split("\n"):
                offence = offence_in(line)
                offender = offence and self._judge.see(offence, config.bans, protected, banned)
                if offender:
                    self._ban(offender)
                    self._follow_store()
                    banned = self._banned()
            self._tail.counted(piece)
        self._judge.forget_before(time.time() - config.bans.within)

    def _ban(self, offender: Offender) -> None:
        settings = self._config().bans
        if settings.mode == "detect":
            log.warning("would be banned", network=offender.network, why=offender.reason)
            return
        made = ban_anew(
            self._database,
            offender.network,
            lambda times: ban_duration_s(settings, times),
            reason=offender.reason,
        )
        if made is not None and made.until is not None:
            log.warning(
                "banned", network=made.network, why=made.reason, for_s=made.until - made.since
            )

    def _follow_store(self) -> None:
        """Bans of the command line, or of gateways that share the database."""
        change = newest(self._database)
        if change != self._seen:
            self._active = active_bans(self._database)
            self._seen = change

    def _banned(self) -> frozenset[str]:
        """Networks whose bans hold now."""
        now = time.time()
        return frozenset(
            each.network for each in self._active if each.until is None or each.until > now
        )

    def _enforce(self) -> None:
        wanted = self._banned()
        if wanted == self._enforced:
            return
        new = self._enforced is None or bool(wanted - self._enforced)
        waited = time.monotonic() - self._reloaded
        if waited < (NEW_BANS_AFTER_S if new else EXPIRY_AFTER_S):
            return
        if enforce(self._home, wanted):
            self._reloaded = time.monotonic()
        self._enforced = wanted

    def _close(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._tail, self._judge = None, Judge()
