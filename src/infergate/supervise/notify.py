"""What systemd is told of the gateway: sd_notify(3), one datagram to a socket that it names."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TextIO

_MARKS = (Path("/run/.containerenv"), Path("/.dockerenv"))
"""Made in every container by podman and Docker."""

_FIRST_PROCESS_SAYS = "/proc/1/fd/1"

READY = "READY=1"
STOPPING = "STOPPING=1"


def notify(*lines: str) -> None:
    """Tell systemd, if it started us and waits for it; the gateway does not depend on it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        # "@" stands for the NUL that an abstract socket's name begins with.
        name = f"\0{address[1:]}" if address.startswith("@") else address
        out.sendto("\n".join(lines).encode(), name)


def is_kept(stream: TextIO) -> bool:
    """Whether what is written there may be kept, for others to read.

    That is so of all but a terminal that somebody looks at: of a journal, a container's log, a
    file, and a pipe to who knows what. A container's log has also what its first process writes to
    a terminal (`docker run --tty`).
    """
    return not stream.isatty() or _is_the_first_process_s(stream)


def in_container() -> bool:
    """As podman, Docker and systemd-nspawn tell: whoever started us there collects what we say."""
    return "container" in os.environ or any(mark.exists() for mark in _MARKS)


def _is_the_first_process_s(stream: TextIO) -> bool:
    """Whether it leads where process 1 writes. Who may not see that is no container's only program,
    unless everything else tells of a container."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), Path(_FIRST_PROCESS_SAYS).stat())
    except OSError:
        return in_container()
