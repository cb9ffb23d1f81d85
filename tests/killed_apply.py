"""An apply that ends, or loses its disk, at any of its steps.

A step is what its process asks of the kernel.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import unittest.mock
from collections.abc import Callable
from pathlib import Path

from tests.gateway import Gateway, run_here

_STEPS = frozenset(("os.rename", "os.symlink", "os.remove", "os.kill", "socket.connect"))
"""What changes something that another process sees. Files are written under another name first."""


class Steps:
    """Writes down the steps of this process, or does something before one of them."""

    def __init__(self, before: int | None, do: Callable[[], None], told: int) -> None:
        self._left, self._do, self._told = before, do, told
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
        else:
            self._left -= 1
            if self._left == -1:
                self._do()


def apply_killed(it: Gateway, end_before: int | None) -> list[str]:
    """`infergate apply`, without the trial, in a process that ends before its nth step; the steps,
    if it is None."""
    return _apply(it, end_before, lambda: os.kill(os.getpid(), signal.SIGKILL))[0]


def apply_read_only(it: Gateway, step: int) -> str:
    """The same in a process for which the state folder can only be read from its nth step on; what
    it says, its exit code first. Only root may do that."""
    return _apply(it, step, lambda: _read_only(it.home))[1]


def _apply(it: Gateway, before: int | None, do: Callable[[], None]) -> tuple[list[str], str]:
    told, said = it.folder / "steps", it.folder / "said"
    told.write_text("")
    said.write_text("")
    child = os.fork()
    if child == 0:
        try:
            sys.addaudithook(Steps(before, do, os.open(told, os.O_WRONLY | os.O_APPEND)))
            command = ["apply", "--window", "0s", "-c", str(it.file)]
            with unittest.mock.patch("infergate.changes.apply.trial", return_value=()):
                ran = run_here(command, {"INFERGATE_HOME": str(it.home), "COLUMNS": "500"})
            said.write_text(f"{ran.returncode} {ran.stdout}{ran.stderr}")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return told.read_text().splitlines(), said.read_text()


def _read_only(folder: Path) -> None:
    """For this process alone: in a mount namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    path = os.fsencode(folder)
    done = libc.unshare(_CLONE_NEWNS) == 0 and all(
        libc.mount(*arguments) == 0
        for arguments in (
            (None, b"/", None, _MS_REC | _MS_PRIVATE, None),
            (path, path, None, _MS_BIND | _MS_REC, None),
            (None, path, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY, None),
        )
    )
    if not done:
        os.kill(os.getpid(), signal.SIGKILL)


# <linux/sched.h>, <linux/mount.h>
_CLONE_NEWNS = 0x20000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
