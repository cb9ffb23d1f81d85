"""Looks at a change that has just taken effect: error rate, backends, nginx itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infergate.changes.reach import as_reported, served, unserved
from infergate.changes.window import Answers, broken, count
from infergate.config.root import Config
from infergate.control.report import read_inventories, read_report
from infergate.errors import StateError
from infergate.live.shared_memory import read
from infergate.paths import Home
from infergate.worker_files import entry_in

INTERVAL_S = 0.25
BEFORE_S = 60.0
"""How long before the change is what it is compared with."""

_MOST_BYTES = 16 * 1024 * 1024
"""Of the access log that are read for what was before."""

_NUMBERS = ("ts", "status", "request_time")

_SILENCES = 4
"""Times in a row that nginx may leave our question open."""


class Watch:
    """What a gateway did before a change, and what it does since.

    To be made before the change takes effect, and started when it has.
    """

    def __init__(self, home: Home, config: Config) -> None:
        """config: the active one before."""
        self._home = home
        self._served = served(config, read_report(home.health), read_inventories(home.health))
        self._log = _Log(home.access_log)
        now = time.time()
        self.before = count(self._log.past(), now - BEFORE_S, now)
        self.after = Answers()
        self._since = now
        self._silent = 0

    def start(self) -> None:
        """The change is active from now on."""
        self._since = time.time()

    def until(self, config: Config, seconds: float) -> str | None:
        """Watch for `seconds`; return the first problem, or None.

        config: the active one since.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(INTERVAL_S)
            problem = self._look(config)
            if problem is not None:
                return problem
        return None

    def _look(self, config: Config) -> str | None:
        self.after += count(self._log.new(), self._since, float("inf"))
        try:
            read(self._home.socket)
            self._silent = 0
        except StateError as problem:
            self._silent += 1
            if self._silent >= _SILENCES:
                return f"nginx does not answer: {problem.what}"
        report = read_report(self._home.health)
        if report is not None and report.written_at > self._since:
            known = as_reported(report, read_inventories(self._home.health))
            for lost in unserved(self._served, config, known):
                return str(lost)
        return broken(self.before, self.after)


class _Log:
    """The access log from now on, also when it is rotated meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position, self._inode = 0, 0
        try:
            facts = path.stat()
            self._position, self._inode = facts.st_size, facts.st_ino
        except FileNotFoundError:
            pass

    def past(self) -> Iterator[Mapping[str, Any]]:
        """The lines until now; of a long log, the last ones."""
        yield from self._lines(max(0, self._position - _MOST_BYTES), self._position)

    def new(self) -> Iterator[Mapping[str, Any]]:
        """The lines since the last call."""
        try:
            facts = self._path.stat()
        except FileNotFoundError:
            return
        if facts.st_ino != self._inode or facts.st_size < self._position:
            self._position, self._inode = 0, facts.st_ino
        begin = max(self._position, facts.st_size - _MOST_BYTES)
        yield from self._lines(begin, facts.st_size)

    def _lines(self, begin: int, end: int) -> Iterator[Mapping[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(begin)
                data = file.read(end - begin)
        except FileNotFoundError:
            return
        whole = data.rpartition(b"\n")[0]
        self._position = begin + (len(whole) + 1 if whole else 0)
        for line in whole.split(b"\n"):
            entry = entry_in(line)  # the first one may be cut
            if entry is not None and all(
                type(entry.get(each)) in (int, float) for each in _NUMBERS
            ):
                yield entry
