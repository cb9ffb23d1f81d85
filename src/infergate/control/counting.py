"""The ledger's loop: count, rotate, forget, and stop keys whose budget is used up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from infergate.config.load import LoadedConfig
from infergate.control.budgets import BudgetWatch
from infergate.control.learned import Learned, answer_of
from infergate.errors import InfergateError
from infergate.ledger.killed import KilledWorkers
from infergate.ledger.ledger import Ledger, LedgerStep
from infergate.ledger.line import Line
from infergate.ledger.retention import Clock, forget_old
from infergate.ledger.rotate import remove_old, reopen_missing, rotate
from infergate.ledger.status import LedgerStatus, write_status
from infergate.log import log
from infergate.paths import Home
from infergate.store.database import Database

INTERVAL_S = 0.25
"""Between two looks at the log. nginx writes it 0.1 s late; so a budget counts within a second."""

_TOLD_EVERY_S = 1.0
_TIDIED_EVERY_S = 10.0
_REPORTED_EVERY_S = 15.0
"""How far all budgets are used: at 10,000 of them this takes a fifth of a second."""
_FORGOTTEN_EVERY_S = 600.0
_LONGEST_WAIT_S = 5.0


def _learning(learned: Learned) -> Callable[[Line], None]:
    def saw(line: Line) -> None:
        answer = answer_of(line)
        if answer is not None:
            learned.saw(answer, line.second)

    return saw


class Counting:
    """Runs the ledger of one gateway in a thread, as long as `run` runs."""

    def __init__(
        self,
        home: Home,
        database: Database,
        loaded: Callable[[], LoadedConfig],
        learned: Learned,
    ) -> None:
        self._home, self._database, self._loaded = home, database, loaded
        self._ledger = Ledger(home, database, lambda: loaded().config, _learning(learned))
        self._budgets = BudgetWatch(home, database, loaded)
        self._clock = Clock()
        self._problem: InfergateError | None = None
        self._since = time.time()
        self._told = self._tidied = self._forgotten = self._reported = 0.0
        self._unreadable = self._killed_workers = 0
        self._killed = KilledWorkers(home.error_log)
        self._used: set[str] = set()  # keys whose budgets were not looked at since

    async def run(self) -> None:
        """Until cancelled."""
        wait_s = INTERVAL_S
        while True:
            try:
                step = await asyncio.to_thread(self._once)
            except InfergateError as problem:
                self._stopped(problem)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
                continue
            wait_s = INTERVAL_S
            if step.lines == 0:  # else there may be more
                await asyncio.sleep(INTERVAL_S)

    def _once(self) -> LedgerStep:
        step = self._ledger.step()
        if step.unreadable and not self._unreadable:  # once; how many, `status` says
            log.warning("lines of the access log are no requests, and passed over")
        self._unreadable += step.unreadable
        self._used |= step.keys
        self._budgets.look(self._used)
        self._used.clear()
        if self._problem is not None:
            log.info("the ledger counts again", stopped_s=round(time.time() - self._since))
            self._problem, self._since = None, time.time()
        now = time.monotonic()
        if now - self._tidied > _TIDIED_EVERY_S:
            self._tidied = now
            self._tidy()
        if now - self._reported > _REPORTED_EVERY_S:
            self._reported = now
            self._report_budgets()
        if now - self._told > _TOLD_EVERY_S:
            if reopen_missing(self._home, self._make_folders):
                log.info("the access log was moved away and is made anew")
            self._tell()
        return step

    def _make_folders(self) -> None:
        from infergate.nginx.folders import prepare_home  # hardly ever
        from infergate.nginx.worker_user import worker_user

        prepare_home(self._home, worker_user(self._loaded().config, self._home))

    def _report_budgets(self) -> None:
        with contextlib.suppress(InfergateError):  # a full disk, or a database that is away
            self._budgets.report()

    def _tidy(self) -> None:
        usage = self._loaded().config.usage
        with contextlib.suppress(OSError):  # a full disk; it is rotated later
            new = rotate(self._home, usage.rotate)
            if new is not None:
                log.info("the access log was rotated", to=new.name)
        removed = remove_old(self._home, self._ledger.tail(), usage.keep.logs, time.time())
        if removed:
            log.info("old access logs were removed", files=removed)
        if self._clock.is_trusted() and time.monotonic() - self._forgotten > _FORGOTTEN_EVERY_S:
            self._forgotten = time.monotonic()
            present = self._ledger.tail().present()
            forget_old(self._database, usage.keep, self._ledger.node, present, time.time())
            self._ledger.forgot()

    def _stopped(self, problem: InfergateError) -> None:
        if self._problem is None:
            self._since = time.time()
        if self._problem is None or str(self._problem) != str(problem):
            log.error("the ledger has stopped; nothing is lost, it tries again", why=str(problem))
        self._problem = problem
        self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        self._killed_workers += self._killed.more()
        problem = self._problem
        behind = 0
        with contextlib.suppress(InfergateError, OSError):
            behind = self._ledger.tail().behind_bytes()
        status = LedgerStatus(
            at=time.time(),
            problem="" if problem is None else f"{problem.where}: {problem.what}",
            hint=(problem.hint or "") if problem is not None else "",
            since=self._since,
            behind_bytes=behind,
            unreadable=self._unreadable,
            killed_workers=self._killed_workers,
        )
        with contextlib.suppress(OSError):
            write_status(self._home.ledger, status)
