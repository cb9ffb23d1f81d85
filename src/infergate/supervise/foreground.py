"""`infergate up` on a terminal: this process becomes the supervisor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from infergate.paths import Home
from infergate.supervise.detached import is_ready, supervisor_command

_POLL_S = 0.05


def become_supervisor(
    path: Path, home: Home, demo_port: int | None, *, follow: bool, ready: Callable[[], None]
) -> None:
    """Never returns. ready: called, in another process, when the gateway answers.

    The supervisor lives for as long as the gateway; what the command line has loaded would stay in
    its memory.
    """
    home.ready.unlink(missing_ok=True)
    supervisor = os.getpid()
    if os.fork() == 0:
        # Not its child but that of init, so that the supervisor has none it does not know of.
        if os.fork() == 0:
            _when_ready(home, supervisor, ready)
        os._exit(0)
    os.wait()
    command = supervisor_command(path, demo_port, follow=follow)
    os.execv(command[0], command)  # noqa: S606 - our own program


def _when_ready(home: Home, supervisor: int, ready: Callable[[], None]) -> None:
    try:
        while Path(f"/proc/{supervisor}").exists():
            if is_ready(home, supervisor):
                ready()
                break
            time.sleep(_POLL_S)
    finally:
        os._exit(0)
