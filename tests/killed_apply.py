"""An apply that is killed at any of its steps: what its process asks of the kernel, one by one."""

from __future__ import annotations

import os
import signal
import sys
import unittest.mock

from tests.gateway import Gateway, run_here

_STEPS = frozenset(("os.rename", "os.symlink", "os.remove", "os.kill", "socket.connect"))
"""What changes something that another process sees. Files are written under another name first."""


class Steps:
    """Writes down the steps of this process, or ends it before one of them."""

    def __init__(self, end_before: int | None, told: int) -> None:
        self._left, self._told = end_before, told
        self._began = False
        self._last = ""

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        # From the first note of it on; what comes before touches nothing that runs.
        if not self._began:
            self._began = event == "os.rename" and ".change.json." in str(arguments[0])
        # To ask again whether nginx is there yet is the same step.
        again = event == self._last == "socket.connect"
        if not self._began or event not in _STEPS or again:
            return
        self._last = event
        if self._left is None:
            os.write(self._told, f"{event} {arguments[0]}\n".encode())
        elif self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            self._left -= 1


def apply_killed(it: Gateway, end_before: int | None) -> list[str]:
    """`infergate apply`, without the trial, in a process that ends before its nth step; the steps,
    if it is None."""
    told = it.folder / "steps"
    told.write_text("")
    child = os.fork()
    if child == 0:
        try:
            sys.addaudithook(Steps(end_before, os.open(told, os.O_WRONLY | os.O_APPEND)))
            command = ["apply", "--window", "0s", "-c", str(it.file)]
            with unittest.mock.patch("infergate.changes.apply.trial", return_value=()):
                run_here(command, {"INFERGATE_HOME": str(it.home), "COLUMNS": "80"})
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return told.read_text().splitlines()
