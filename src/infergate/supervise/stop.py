"""`infergate down`: stop whatever runs of a gateway, also when parts of it are gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from infergate.errors import InfergateError, NotRunning
from infergate.live.drain import client_connections, still_open
from infergate.paths import Home
from infergate.supervise.instance import DRAIN_TIMEOUT_S, is_zombie, running

_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.02
_SAID_AFTER_S, _SAID_EVERY_S = 1.0, 10.0


def stop_gateway(home: Home, *, now: bool, said: Callable[[str], None] = print) -> None:
    """Stop the gateway and wait until its processes are gone.

    now: cut open streams instead of letting them finish. said: is told what is waited for.
    Raises NotRunning if nothing runs, InfergateError if it does not end in time.
    """
    processes = running(home)
    if processes.supervisor is None and processes.nginx is None:
        raise NotRunning("the gateway is not running", where=str(home.root))
    timeout_s = _STOP_TIMEOUT_S if now else DRAIN_TIMEOUT_S + _STOP_TIMEOUT_S
    waiting = _Waiting(processes.nginx, said)
    if processes.supervisor is not None:
        _signal(processes.supervisor, signal.SIGTERM)
        if now:
            time.sleep(0.1)
            _signal(processes.supervisor, signal.SIGTERM)
        _wait_for_end(processes.supervisor, timeout_s, waiting)
    elif processes.nginx is not None:
        # Its supervisor was killed: nginx went on alone.
        _signal(processes.nginx, signal.SIGTERM if now else signal.SIGQUIT)
        try:
            _wait_for_end(processes.nginx, DRAIN_TIMEOUT_S, waiting)
        except InfergateError:  # nobody else cuts what is open
            _signal(processes.nginx, signal.SIGTERM)
            _wait_for_end(processes.nginx, _STOP_TIMEOUT_S, waiting)
        home.remove_sockets()


class _Waiting:
    """Says now and then which connections hold up the end."""

    def __init__(self, nginx: int | None, said: Callable[[str], None]) -> None:
        self._nginx, self._said = nginx, said
        self._open = client_connections(nginx) if nginx else frozenset()
        self._began = time.monotonic()
        self._next_s = _SAID_AFTER_S

    def look(self) -> None:
        waited_s = time.monotonic() - self._began
        if self._nginx is None or waited_s < self._next_s:
            return
        self._next_s += _SAID_EVERY_S
        count = still_open(self._nginx, self._open)
        if count:
            left_s = max(0, DRAIN_TIMEOUT_S - waited_s)
            self._said(
                f"Waiting for {count} open connection{'s' * (count != 1)}: streams, or WebSockets. "
                f"They are cut in {left_s:.0f} s, or at once by `infergate down --now`."
            )


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_for_end(pid: int, timeout_s: float, waiting: _Waiting) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_zombie(pid):
        if time.monotonic() > deadline:
            raise InfergateError(
                f"process {pid} did not end in {timeout_s:.0f} s",
                hint="`infergate down --now` cuts open streams.",
            )
        waiting.look()
        time.sleep(_POLL_S)
