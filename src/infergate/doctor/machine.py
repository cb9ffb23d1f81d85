"""Disk, clock and limits of the machine."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from infergate.hardening.check import Check, Severity, bad, good
from infergate.paths import Home
from infergate.supervise.instance import nginx_master

_LITTLE = 0.05
_LITTLE_BYTES = 1 << 30
"""Room that is little if it is less than both: a rotated access log of a busy day."""
_NONE_BYTES = 64 << 20
_NONE_INODES = 1000
"""What an apply, a rotation and the database's journal need for moments."""
_AHEAD_S = 60.0
_FEW_FILES = 4096
"""Two of each request and two of each idle connection: of fewer, 1,000 clients are left over."""


def check_disk(home: Home) -> Iterator[Check]:
    """Space and inodes where the gateway writes."""
    folder = next(each for each in (home.root, *home.root.parents) if each.exists())
    facts = os.statvfs(folder)
    if facts.f_flag & os.ST_RDONLY:
        yield bad(
            "disk.readonly",
            "high",
            f"the disk of {folder} is read-only",
            "`dmesg` says why; mount it anew with rw, or set INFERGATE_HOME to another folder.",
        )
    free, size = facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize
    said = f"{_size(free)} of {_size(size)} are free on the disk of {folder}"
    severity: Severity
    if free < min(_LITTLE_BYTES, size * _LITTLE):
        severity = "high" if free < _NONE_BYTES else "medium"
        cure = f"`du -xh {folder} | sort -h | tail` shows what is large; make room."
        yield bad("disk.space", severity, said, cure)
    else:
        yield good("disk.space", "high", said)
    if facts.f_files and facts.f_favail < facts.f_files * _LITTLE:
        severity = "high" if facts.f_favail < _NONE_INODES else "medium"
        said = f"{facts.f_favail:,} of {facts.f_files:,} inodes are free on the disk of {folder}"
        yield bad("disk.inodes", severity, said, "Remove small files: `df -i` shows the disk.")
    else:
        yield good("disk.inodes", "high", "there are inodes enough")


def check_clock(home: Home) -> Iterator[Check]:
    """Whether the clock was set back: what we wrote is from the future then."""
    files = [home.access_log, home.health, home.store, home.ledger]
    ahead_s = max((_changed(each) for each in files), default=0.0) - time.time()
    if ahead_s > _AHEAD_S:
        yield bad(
            "clock.set_back",
            "medium",
            f"the clock was set back: the gateway wrote {ahead_s:,.0f} s from now",
            "`timedatectl set-ntp true` keeps the time; keys and budgets end by it.",
        )
    else:
        yield good("clock.set_back", "medium", "nothing was written in the future")


def check_limits(home: Home) -> Iterator[Check]:
    """How many files nginx may have open; of this process, where none runs."""
    pid = nginx_master(home)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if pid is None else _open_files(pid)
    if allowed is None:
        return
    if 0 <= allowed < _FEW_FILES:
        yield bad(
            "limits.nofile",
            "medium",
            f"nginx may have no more than {allowed:,} files and connections open",
            "LimitNOFILE=65536 in its systemd unit, or `ulimit -Hn 65536` before `infergate up`.",
        )
    else:
        yield good("limits.nofile", "medium", "nginx may have connections enough open")


def _open_files(pid: int) -> int | None:
    """The hard limit of a process: nginx raises its own up to it. None if it cannot be known."""
    try:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    except OSError:
        return None
    words = next((each.split() for each in lines if each.startswith("Max open files")), [])
    return int(words[4]) if len(words) > 4 and words[4].isdigit() else None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
