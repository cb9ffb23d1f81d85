"""Ends what a test run has started when the run itself is gone, killed or not.

Gateways, databases and engines of tests are processes in sessions of their own: a killed pytest
would leave them running. Every pytest process starts one reaper, which waits for the other end of a
pipe to be closed; then it kills whatever bears the run's mark and removes its folders.

A process bears the mark in its environment, or stands in one of the run's folders or names one:
nginx writes its title over its environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MARK = "INFERGATE_TEST_RUN"

_ROUNDS = 5
"""A supervisor may start its nginx once more before it is killed itself."""


def start() -> subprocess.Popen[bytes]:
    """The reaper of this process. What is started from now on bears the mark."""
    os.environ[MARK] = f"{os.getpid()}-{time.monotonic_ns()}"
    return subprocess.Popen(
        [sys.executable, "-I", __file__, os.environ[MARK], _folders()],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={},
    )


def folder_prefix() -> str:
    """Of the names of this run's folders; short, because a unix socket's path has 107 bytes."""
    return f"ig-{os.environ.get(MARK, '').partition('-')[0]}-"


def _folders() -> str:
    return str(Path(tempfile.gettempdir()) / folder_prefix())


def _marked(mark: bytes, folders: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():  # which names the folders
            continue
        try:
            stands = str((process / "cwd").readlink()).startswith(folders) or any(
                each.startswith(folders.encode())
                for each in (process / "cmdline").read_bytes().split(b"\0")
            )
            if stands or mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue  # it has ended, or is not ours
    return found


def reap(mark: str, folders: str) -> None:
    """Kill all that bear the mark, and remove the folders. folders: how their paths begin."""
    for _ in range(_ROUNDS):
        left = _marked(f"{MARK}={mark}".encode(), folders)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if not left:
            break
        time.sleep(0.2)
    for folder in Path(folders).parent.glob(f"{Path(folders).name}*"):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()
    reap(sys.argv[1], sys.argv[2])
