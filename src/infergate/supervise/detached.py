"""`infergate up --detach`: the supervisor in the background, waited for until it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from infergate.errors import InfergateError, of_machine
from infergate.paths import Home

_TIMEOUT_S = 60.0
_POLL_S = 0.02
_SOME_BYTES = 16384
"""More than what is left of the last block of a file."""


def start_detached(
    path: Path, home: Home, demo_port: int | None, *, follow: bool = False
) -> Callable[[], None]:
    """Start the supervisor; what is returned waits until the gateway answers.

    That raises InfergateError with what the supervisor said if it ends before.
    """
    home.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.ready.unlink(missing_ok=True)
    log = home.logs / "gateway.log"
    log.touch(mode=0o600)
    said_before = log.stat().st_size
    command = supervisor_command(path, demo_port, follow=follow)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )

    def wait_until_ready() -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while not is_ready(home, process.pid):
            code = process.poll()
            if code is not None or time.monotonic() > deadline:
                process.terminate()
                said = log.read_bytes()[said_before:].decode(errors="replace").strip()
                problem = InfergateError(
                    said or f"ended with code {code} without a word", hint=f"All of its log: {log}"
                )
                full = None if code is None else _without_room(log)
                if full is not None and full.what not in said:  # its words had none, either
                    problem = full
                problem.exit_code = code or 1
                raise problem
            time.sleep(_POLL_S)

    return wait_until_ready


def _without_room(log: Path) -> InfergateError | None:
    """Why nothing more can be written to the log, if that is so."""
    size = log.stat().st_size
    try:
        with log.open("ab") as out:
            out.write(bytes(_SOME_BYTES))
        os.truncate(log, size)
    except OSError as problem:
        return of_machine(problem, where=str(log))
    return None


def supervisor_command(path: Path, demo_port: int | None, *, follow: bool) -> list[str]:
    """What starts the supervisor of a configuration (supervise/__main__.py)."""
    command = [sys.executable, "-m", "infergate.supervise", str(path)]
    if demo_port is not None:
        command.append(f"--demo={demo_port}")
    if follow:
        command.append("--watch")
    return command


def is_ready(home: Home, pid: int) -> bool:
    """Whether the supervisor with this process id says that the gateway answers."""
    try:
        return home.ready.read_text() == str(pid)
    except FileNotFoundError:
        return False
