"""Where lines of the access log are handed on to: standard output, syslog, a file."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infergate.log import log

Sink = Callable[[list[str]], None]
"""Takes whole lines, or raises OSError: then they come again."""

_LONGEST_WAIT_S = 2
_PRIORITY = 23 * 8 + 6
"""local7, info: what nginx itself says of its lines (RFC 5424, 6.2.1)."""
_ATOMIC = select.PIPE_BUF
"""A pipe that may be written to takes so many bytes at once."""


def to_stdout(descriptor: int = 1) -> Sink:
    """Raises TimeoutError where nobody reads: whoever waits for that would wait for ever."""
    written = 0  # of what could not be written whole, and comes again

    def write(lines: list[str]) -> None:
        nonlocal written
        data = memoryview("".join(f"{each}\n" for each in lines).encode())
        waiting = select.poll()
        waiting.register(descriptor, select.POLLOUT)
        while written < len(data):
            if not waiting.poll(_LONGEST_WAIT_S * 1000):
                raise TimeoutError("nobody reads the standard output")
            written += os.write(descriptor, data[written : written + _ATOMIC])
        written = 0

    return write


def to_syslog(address: str) -> Sink:
    """address: a socket's path, or host:port by UDP."""
    found: socket.socket | None = None

    def send(lines: list[str]) -> None:
        nonlocal found
        if found is None:
            found = _connected(address)
        try:
            for each in lines:
                try:
                    found.send(f"<{_PRIORITY}>infergate: {each}".encode())
                except OSError as problem:
                    if problem.errno != errno.EMSGSIZE:
                        raise
                    log.warning("a line is too long for syslog and passed over", bytes=len(each))
        except OSError:
            found.close()
            found = None
            raise

    return send


def _looked_up(address: str) -> tuple[socket.AddressFamily, Any]:
    if address.startswith("/"):
        return socket.AF_UNIX, address
    host, _, port = address.rpartition(":")
    first = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    return first[0], first[-1]


def _connected(address: str) -> socket.socket:
    family, where = _looked_up(address)
    found = socket.socket(family, socket.SOCK_DGRAM)
    found.settimeout(_LONGEST_WAIT_S)
    try:
        found.connect(where)
    except OSError:
        found.close()
        raise
    return found


def to_file(path: Path) -> Sink:
    """Made anew where it was renamed."""

    def append(lines: list[str]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{each}\n" for each in lines)

    return append
