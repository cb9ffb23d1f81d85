"""Turns what the firewall's workers leave behind into lines of logs/waf.log."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from infergate.config.root import Config
from infergate.nginx.waf import wanted
from infergate.paths import Home
from infergate.waf.report import read_report

log = structlog.get_logger(__name__)

INTERVAL_S = 1.0
_AT_ONCE = 1000
_UNFINISHED_S = 10.0
"""A report that cannot be read and is younger may still be being written."""
_ROTATED_BYTES = 32 * 1024 * 1024


class FirewallLog:
    """Follows the reports of one gateway as long as `run` runs."""

    def __init__(self, home: Home, config: Callable[[], Config]) -> None:
        self._home, self._config = home, config

    async def run(self) -> None:
        """Until cancelled."""
        trouble = ""
        while True:
            await asyncio.sleep(INTERVAL_S)
            if not wanted(self._config()):
                continue
            try:
                await asyncio.to_thread(collect, self._home)
                trouble = ""
            except OSError as problem:
                if trouble != str(problem):
                    trouble = str(problem)
                    log.error("the firewall's log cannot be written; trying again", why=trouble)


def collect(home: Home) -> int:
    """Move what is there into the log; returns how many requests. Raises OSError."""
    files = list(itertools.islice(home.waf_reports.glob("*/*/*"), _AT_ONCE))
    if not files:
        return 0
    done, lines = [], []
    for file in sorted(files):
        report = read_report(file.read_text(errors="replace"))
        if report is not None:
            lines.append(report.line() + "\n")
        elif time.time() - file.stat().st_mtime < _UNFINISHED_S:
            continue
        done.append(file)
    _append(home.waf_log, "".join(lines))
    for file in done:
        file.unlink()
    for folder in {file.parent for file in done}:
        # A worker may be making a file in it; it stays then.
        with contextlib.suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()
    return len(lines)


def _append(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if path.stat().st_size > _ROTATED_BYTES:
        path.replace(path.with_name(path.name + ".1"))
