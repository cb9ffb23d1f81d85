"""Processes of a gateway and of the scripted backend, as forks of the test's own process.

A gateway is a supervisor, a control plane and at times an admin API. Each is a Python process that
loads for up to a second what the test's process has loaded already; of two hundred gateways that is
a third of the time of all tests. So where the product starts `python -m infergate.…` the child goes
on from here instead of beginning with nothing: another process, with its own id, session, files and
environment, started and ended in the same way, and it runs the same module.

What it does not show is that a process finds all it needs by itself. That do the tests that start
real ones: Gateway(…, forked=False), and every command that is a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import functools
import gc
import logging
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
import unittest.mock
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

_OPENED = 3
"""The first file descriptor that is not one of the standard three."""

_ADDRESSES_AT = 45
"""In /proc/PID/stat after the name: arg_start, arg_end, env_start and env_end (proc(5))."""


class ForkingPopen(subprocess.Popen[Any]):
    """subprocess.Popen, which forks where a module of Infergate is to be run."""

    def __init__(self, args: Sequence[str], **options: Any) -> None:
        environ = options.get("env") or dict(os.environ)
        if _is_ours(args, environ):
            options["preexec_fn"] = functools.partial(
                _become, args, environ, options.get("pass_fds", ())
            )
        super().__init__(args, **options)


@contextmanager
def forking() -> Iterator[None]:
    """Inside, processes of Infergate are forks, and so are those that they start."""
    _load()
    with unittest.mock.patch.object(subprocess, "Popen", ForkingPopen):
        yield


@functools.cache
def _load() -> None:
    """Whatever a process of a gateway loads, once for all of them."""
    for name in ("supervise.prepare", "supervise.supervisor", "control.process", "admin.serve"):
        import_module(f"infergate.{name}")


def _is_ours(args: Sequence[str], environ: Mapping[str, str]) -> bool:
    if isinstance(args, str) or args[0] != sys.executable:
        return False
    if "LD_PRELOAD" in environ:  # it would have to be there from the beginning
        return False
    is_module = args[1] == "-m" and args[2].startswith("infergate.")
    return is_module or args[1].endswith("/scripted.py")


def _become(args: Sequence[str], environ: Mapping[str, str], kept: Collection[int]) -> NoReturn:
    """Run the module in this process, which subprocess has just made, and end with it."""
    code: Any = 1
    try:
        _forget_the_test(kept)
        os.environ.clear()
        os.environ.update(environ)
        _show(args, environ)
        if args[1] == "-m":
            sys.argv = list(args[2:])
            runpy.run_module(args[2], run_name="__main__", alter_sys=True)
        else:
            sys.argv = list(args[1:])
            runpy.run_path(args[1], run_name="__main__")
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001 - a process ends so
        traceback.print_exc()
    finally:
        gc.collect()  # as at the end of any process: connections to the database are closed
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _forget_the_test(kept: Collection[int]) -> None:
    """Be as a process is that has just begun."""
    gc.freeze()  # nothing of the test is cleaned up here: it would close files of ours
    gc.enable()
    faulthandler.disable()
    at = _OPENED
    for number in sorted(kept):
        os.closerange(at, number)
        at = number + 1
    os.closerange(at, os.sysconf("SC_OPEN_MAX"))
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    asyncio._set_running_loop(None)
    asyncio.set_event_loop_policy(None)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
    sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
    threading.excepthook = threading.__excepthook__
    logging.root.handlers.clear()


def _show(args: Sequence[str], environ: Mapping[str, str]) -> None:
    """In /proc what a process of that command and environment has, as far as there is room: the
    reaper and some tests look there."""
    facts = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    addresses = [int(each) for each in facts[_ADDRESSES_AT : _ADDRESSES_AT + 4]]
    marked = sorted(environ.items(), key=lambda item: not item[0].startswith("INFERGATE"))
    texts = (["python", *args[1:]], [f"{name}={value}" for name, value in marked])
    for start, end, words in zip(addresses[::2], addresses[1::2], texts, strict=True):
        room = end - start - 1
        text = b"".join(os.fsencode(word) + b"\0" for word in words)[:room]
        ctypes.memmove(start, text.ljust(room, b"\0") + b"\0", room + 1)
