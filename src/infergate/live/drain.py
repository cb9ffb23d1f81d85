"""Old workers: after a reload they take no new connections and finish the streams they have."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infergate.files import write_atomically
from infergate.nginx.shutdown import SHUTDOWN_TIMEOUT_S
from infergate.paths import Home
from infergate.state_file import read_state

_CLOSED_WITHIN_S = 20.0

_ESTABLISHED, _LISTENS = "01", "0A"  # states in /proc/net/tcp (include/net/tcp_states.h)


@dataclass(frozen=True)
class Drain:
    """What is left of earlier configurations.

    workers: old ones that still run. streams: connections of clients they still answer; with
        HTTP/2 one connection may carry several requests.
    oldest_s: since the first of them was told to finish; left_s: until the last one is cut.
    """

    workers: int = 0
    streams: int = 0
    oldest_s: float = 0.0
    left_s: float = 0.0


@dataclass(frozen=True)
class _Old:
    """A worker that was told to finish. started: as the kernel has it, so that a process id that
    is used again is told apart."""

    pid: int
    started: str
    since: float


def nginx_workers(master: int) -> frozenset[int]:
    """Process ids of the master's workers, those that are shutting down included."""
    children = Path(f"/proc/{master}/task/{master}/children")
    try:
        return frozenset(int(pid) for pid in children.read_text().split())
    except OSError:
        return frozenset()


def note_old_workers(home: Home, master: int) -> None:
    """Write down that the workers of now are told to finish: to be called before a reload."""
    known = list(_left(home))
    seen = {each.pid for each in known}
    now = time.time()
    known += [
        _Old(pid, _started(pid), now) for pid in sorted(nginx_workers(master)) if pid not in seen
    ]
    write_atomically(_file(home), json.dumps([vars(each) for each in known]))


def wait_until_closed(home: Home) -> None:
    """Return when no worker of before takes new connections, or after _CLOSED_WITHIN_S: on a
    machine that is very busy it takes them that long to hear of it.

    The master tells them a tenth of a second after the new ones began; a worker that closed its
    listening sockets says so in its title (nginx, ngx_worker_process_cycle).
    """
    deadline = time.monotonic() + _CLOSED_WITHIN_S
    while any(not _is_closed(old.pid) for old in _left(home)) and time.monotonic() < deadline:
        time.sleep(0.01)


def drain(home: Home) -> Drain:
    """What is left on old workers now."""
    old = list(_left(home))
    if not old:
        return Drain()
    served = _served_sockets()
    streams = sum(len(_sockets(each.pid) & served) for each in old)
    now = time.time()
    oldest = now - min(each.since for each in old)
    left = max(each.since for each in old) + SHUTDOWN_TIMEOUT_S - now
    return Drain(len(old), streams, oldest, max(0.0, left))


def client_connections(master: int) -> frozenset[str]:
    """The connections that clients have to its workers, while it listens; see still_open."""
    served = _served_sockets()
    return frozenset(each for pid in nginx_workers(master) for each in _sockets(pid) & served)


def open_connections(master: int) -> int | None:
    """How many connections clients have to its workers; None where the kernel does not let us
    see."""
    workers = nginx_workers(master)
    if not all(os.access(f"/proc/{pid}/fd", os.R_OK) for pid in workers):
        return None
    return len(client_connections(master))


def still_open(master: int, connections: frozenset[str]) -> int:
    """How many of these its workers have now."""
    there = {each for pid in nginx_workers(master) for each in _sockets(pid)}
    return len(connections & there)


def _file(home: Home) -> Path:
    return home.run / "old-workers.json"


def _left(home: Home) -> Iterator[_Old]:
    for old in read_state(_file(home), lambda said: [_Old(**each) for each in said]) or ():
        if old.started and _started(old.pid) == old.started:
            yield old


def _is_closed(pid: int) -> bool:
    try:
        return b"is shutting down" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def _started(pid: int) -> str:
    """When the process began, in the kernel's ticks; "" if it is gone or a zombie. proc(5): fields
    are counted after the name, which may have spaces."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _served_sockets() -> set[str]:
    """Inodes of TCP connections that came in: their own port is one that is, or was, listened on.
    One that went out to a backend has a port of its own."""
    rows = [row.split() for row in _tcp_rows()]
    ports = {_port(row) for row in rows if row[3] == _LISTENS}
    return {row[9] for row in rows if row[3] == _ESTABLISHED and _port(row) in ports}


def _tcp_rows() -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        try:
            yield from Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        except OSError:  # a kernel without IPv6
            continue


def _port(row: list[str]) -> str:
    return row[1].rpartition(":")[2]


def _sockets(pid: int) -> set[str]:
    try:
        links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return set()
    return {link[8:-1] for link in links if link.startswith("socket:[")}
