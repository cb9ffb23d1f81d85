"""The listening sockets of a running nginx, for another one that takes its place."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PIDFD_GETFD = 438
"""The system call, the same number on all architectures; Linux 5.6 and newer."""

_LISTENS = "0A"
"""A state in /proc/net/tcp (include/net/tcp_states.h)."""


@contextmanager
def listening_sockets(pid: int) -> Iterator[tuple[int, ...]]:
    """Our own file descriptors of the TCP sockets on which this process listens.

    As long as they are open, whoever connects waits for the next to accept instead of being
    refused. None where the kernel does not let us; then connections are refused for a moment.
    """
    taken: list[int] = []
    try:
        with contextlib.suppress(OSError):
            watched = os.pidfd_open(pid)
            try:
                wanted = _inodes(pid)
                for entry in Path(f"/proc/{pid}/fd").iterdir():
                    found = re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink()))
                    if found and found[1] in wanted:
                        wanted.discard(found[1])
                        taken.append(_taken(watched, int(entry.name)))
            finally:
                os.close(watched)
        yield tuple(taken)
    finally:
        for each in taken:
            os.close(each)


def _taken(watched: int, number: int) -> int:
    """A copy of the other process's file descriptor. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    ours = libc.syscall(_PIDFD_GETFD, watched, number, 0)
    if ours < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(ours)


def _inodes(pid: int) -> set[str]:
    found: set[str] = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENS:
                    found.add(columns[9])
    return found
