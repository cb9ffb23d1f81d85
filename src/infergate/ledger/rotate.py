"""The access log is rotated when it is large, and removed when it is counted and old."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from infergate.ledger.tail import Tail, log_files
from infergate.paths import Home
from infergate.processes import works_in


def rotate(home: Home, largest_bytes: int, path: Path | None = None) -> Path | None:
    """Rename a log that is larger, and have nginx open a new one; the new name, if it was. path: of
    the log; the ledger's, if none is given.

    What workers write before they have opened the new one goes to the old one, which is read on.
    """
    path = path or home.access_log
    try:
        if path.stat().st_size < largest_bytes:
            return None
    except FileNotFoundError:
        return None
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    new = path.with_name(f"{path.name}.{stamp}")
    if new.exists():
        return None  # more than one in a second; the next look does it
    path.rename(new)
    reopen_logs(home)
    return new


def reopen_logs(home: Home) -> None:
    """Tell nginx to open its log files anew; it does so by itself when it starts."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((home.run / "nginx.pid").read_text())
        if works_in(pid, home.root):
            os.kill(pid, signal.SIGUSR1)


def reopen_missing(home: Home, make_folders: Callable[[], None]) -> bool:
    """Have nginx make its log anew where somebody moved it away by hand, or the folder that it is
    in; whether it was so.

    Raises EngineError where the folder cannot be ours.
    """
    if home.access_log.exists():
        return False
    if not home.logs.is_dir():
        make_folders()
    reopen_logs(home)
    return True


def remove_old_copies(path: Path, older_than_s: float, now: float) -> None:
    """Remove what a log that nobody counts was rotated to, and whose last line is older."""
    for each in log_files(path):
        with contextlib.suppress(FileNotFoundError):
            if each != path and now - each.stat().st_mtime > older_than_s:
                each.unlink()


def remove_old(home: Home, tail: Tail, older_than_s: float, now: float) -> list[str]:
    """Remove rotated logs whose last line is older and of which every line is counted."""
    removed = []
    for path in log_files(home.access_log):
        if path == home.access_log:
            continue
        with contextlib.suppress(FileNotFoundError):
            if now - path.stat().st_mtime > older_than_s and tail.is_counted(path):
                path.unlink()
                removed.append(path.name)
    return removed
