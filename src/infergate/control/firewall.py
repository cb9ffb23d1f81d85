"""Turns what the firewall's workers leave behind into lines of logs/waf.log."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from infergate.config.root import Config
from infergate.errors import StateError
from infergate.ledger.ledger import node_in, node_of
from infergate.ledger.measures import Measures
from infergate.log import log
from infergate.metrics.counted import WAF
from infergate.metrics.family import OTHER
from infergate.nginx.waf import wanted
from infergate.paths import Home
from infergate.store.database import Database
from infergate.store.metrics import Cell, add_metrics, labels_of
from infergate.waf.report import FirewallReport, read_report
from infergate.worker_files import WorkersFolder, open_regular

INTERVAL_S = 1.0
_AT_ONCE = 1000
_FOLDERS = 2
"""Day and minute: ModSecurity's SecAuditLogStorageDir."""
_LONGEST_REPORT = 1024 * 1024
_UNFINISHED_S = 10.0
"""A report that cannot be read and is younger may still be being written."""
_NUMBER = re.compile(r"\d{1,9}")
_ROTATED_BYTES = 32 * 1024 * 1024


class FirewallLog:
    """Follows the reports of one gateway as long as `run` runs."""

    def __init__(self, home: Home, config: Callable[[], Config], database: Database) -> None:
        self._home, self._config = home, config
        self._sums = RuleSums(home, database)

    async def run(self) -> None:
        """Until cancelled."""
        trouble = ""
        while True:
            await asyncio.sleep(INTERVAL_S)
            if not wanted(self._config()):
                continue
            try:
                found = await asyncio.to_thread(collect, self._home)
                await asyncio.to_thread(self._sums.add, found)
                trouble = ""
            except (OSError, StateError) as problem:
                if trouble != str(problem):
                    trouble = str(problem)
                    log.error("the firewall's findings cannot be kept; trying again", why=trouble)


class RuleSums:
    """How often each rule matched, for Prometheus."""

    def __init__(self, home: Home, database: Database) -> None:
        self._node, self._database = node_of(home), database
        self._measures: Measures | None = None

    def add(self, found: Sequence[FirewallReport]) -> None:
        """Add what was found. Raises StateError; then it is not counted."""
        if not found:
            return
        node = node_in(self._database, self._node)
        with self._database.write() as connection:
            if self._measures is None:
                self._measures = Measures(labels_of(connection, node))
            cells: Counter[Cell] = Counter()
            for report in found:
                for rule in {_rule(each.rule) for each in report.rules}:
                    labels = self._measures.of(WAF, (rule, str(report.attack).lower()))
                    cells[Cell(WAF.name, labels, 0)] += 1
            add_metrics(connection, node, cells, time.time())


def _rule(said: str) -> str:
    """A worker that somebody got hold of may have written anything."""
    return said if _NUMBER.fullmatch(said) else OTHER


def collect(home: Home) -> list[FirewallReport]:
    """Move what is there into the log; returns what was found. Raises OSError.

    Whatever else a worker put there is removed unread.
    """
    folder = WorkersFolder(home.waf_reports)
    done, reports = [], []
    for name, facts in itertools.islice(folder.files(_FOLDERS), _AT_ONCE):
        report = read_report(folder.read(name, _LONGEST_REPORT) or b"")
        if report is not None:
            reports.append(report)
        elif stat.S_ISREG(facts.st_mode) and 0 <= time.time() - facts.st_mtime < _UNFINISHED_S:
            continue
        done.append(name)
    reports.sort(key=lambda each: each.ts)
    if reports:
        _append(home.waf_log, "".join(each.line() + "\n" for each in reports))
    for name in done:
        folder.remove(name)
    # A worker may be making a file in one; it stays then.
    for minute in {name.parent for name in done}:
        if folder.remove_empty(minute):
            folder.remove_empty(minute.parent)
    return reports


def _append(path: Path, text: str) -> None:
    descriptor = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        large = os.fstat(descriptor).st_size + len(text) > _ROTATED_BYTES
    if large:
        path.replace(path.with_name(path.name + ".1"))
