"""Which processes of a gateway are running: asked of the kernel, not believed from files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infergate.errors import AlreadyRunning
from infergate.paths import Home
from infergate.processes import works_in

DRAIN_TIMEOUT_S = 600.0
"""How long open streams may hold up a stop. A second signal ends the wait."""


@dataclass(frozen=True)
class Running:
    """Process ids; None for what does not run."""

    supervisor: int | None
    nginx: int | None
    control: int | None


@contextmanager
def sole_supervisor(home: Home) -> Iterator[None]:
    """Be the only supervisor of this state folder.

    The lock is the kernel's: it ends with the process, however that ends.
    Raises AlreadyRunning with the other's process id.
    """
    path = home.run / "supervisor.pid"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _already(home, file.read().strip()) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)


def refuse_second(home: Home) -> None:
    """Raises AlreadyRunning if this state folder has a supervisor."""
    pid = _supervisor(home)
    if pid is not None:
        raise _already(home, str(pid))


def _already(home: Home, pid: str) -> AlreadyRunning:
    return AlreadyRunning(
        f"a gateway is running already (process {pid})",
        where=str(home.root),
        hint="`infergate status` shows it, `infergate down` stops it.\n"
        "  To run a second one, set INFERGATE_HOME to another folder.",
    )


def running(home: Home) -> Running:
    """What runs of the gateway in this state folder."""
    return Running(_supervisor(home), nginx_master(home), _control(home))


def _supervisor(home: Home) -> int | None:
    try:
        with (home.run / "supervisor.pid").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text else None
    except FileNotFoundError:
        pass
    return None


def nginx_master(home: Home) -> int | None:
    """The nginx master that runs this state folder's configuration."""
    return _alive(home, "nginx.pid")


def _control(home: Home) -> int | None:
    return _alive(home, "control.pid")


def _alive(home: Home, pid_file: str) -> int | None:
    """The process a pid file names, if it is still ours: all of ours work in the state folder.

    Its name says nothing: nginx rewrites its own, and cuts it short where a loader started it.
    """
    try:
        pid = int((home.run / pid_file).read_text())
        ours = works_in(pid, home.root)
    except (OSError, ValueError):
        return None
    return pid if ours and not is_zombie(pid) else None


def is_zombie(pid: int) -> bool:
    """Whether the process has ended, or is gone altogether."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
