"""`infergate down`: stop whatever runs of a gateway, also when parts of it are gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from infergate.errors import InfergateError, NotRunning
from infergate.paths import Home
from infergate.supervise.instance import DRAIN_TIMEOUT_S, is_zombie, running

_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.02


def stop_gateway(home: Home, *, now: bool) -> None:
    """Stop the gateway and wait until its processes are gone.

    now: cut open streams instead of letting them finish.
    Raises NotRunning if nothing runs, InfergateError if it does not end in time.
    """
    processes = running(home)
    if processes.supervisor is None and processes.nginx is None:
        raise NotRunning("the gateway is not running", where=str(home.root))
    timeout_s = _STOP_TIMEOUT_S if now else DRAIN_TIMEOUT_S + _STOP_TIMEOUT_S
    if processes.supervisor is not None:
        _signal(processes.supervisor, signal.SIGTERM)
        if now:
            time.sleep(0.1)
            _signal(processes.supervisor, signal.SIGTERM)
        _wait_for_end(processes.supervisor, timeout_s)
    elif processes.nginx is not None:
        # Its supervisor was killed: nginx went on alone.
        _signal(processes.nginx, signal.SIGTERM if now else signal.SIGQUIT)
        _wait_for_end(processes.nginx, timeout_s)
        home.remove_sockets()


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_for_end(pid: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_zombie(pid):
        if time.monotonic() > deadline:
            raise InfergateError(
                f"process {pid} did not end in {timeout_s:.0f} s",
                hint="`infergate down --now` cuts open streams.",
            )
        time.sleep(_POLL_S)
