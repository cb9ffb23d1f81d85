"""`infergate up --detach`: the supervisor in the background, waited for until it answers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from infergate.config.load import LoadedConfig
from infergate.errors import InfergateError
from infergate.paths import Home

_TIMEOUT_S = 60.0
_POLL_S = 0.02


def start_detached(loaded: LoadedConfig, home: Home, demo_port: int | None) -> Callable[[], None]:
    """Start the supervisor; what is returned waits until the gateway answers.

    That raises InfergateError with what the supervisor said if it ends before.
    """
    home.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.ready.unlink(missing_ok=True)
    log = home.logs / "gateway.log"
    log.touch(mode=0o600)
    said_before = log.stat().st_size
    command = [sys.executable, "-m", "infergate.supervise", str(loaded.path)]
    if demo_port is not None:
        command.append(str(demo_port))
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )

    def wait_until_ready() -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while not _is_ready(home, process.pid):
            code = process.poll()
            if code is not None or time.monotonic() > deadline:
                process.terminate()
                said = log.read_bytes()[said_before:].decode(errors="replace").strip()
                problem = InfergateError(
                    said or f"ended with code {code} without a word", hint=f"All of its log: {log}"
                )
                problem.exit_code = code or 1
                raise problem
            time.sleep(_POLL_S)

    return wait_until_ready


def _is_ready(home: Home, pid: int) -> bool:
    try:
        return home.ready.read_text() == str(pid)
    except FileNotFoundError:
        return False
