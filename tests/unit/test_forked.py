"""A fork that stands for a process of a gateway is as that process would be."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends.servers import scripted
from tests.forked import ForkingPopen

COMMAND = [sys.executable, "-m", "infergate.supervise", "/nowhere.yaml"]


@pytest.mark.parametrize("popen", [subprocess.Popen, ForkingPopen])
def test_it_says_and_ends_as_the_command_does(
    popen: type[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    environ = {**os.environ, "INFERGATE_HOME": str(tmp_path / "home")}
    with popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == b""
    assert err == b"/nowhere.yaml: cannot be read: No such file or directory\n"


def files_of(process: Path) -> set[str]:
    """What a process has open."""
    found = set()
    for each in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            found.add(str(each.readlink()))
    return found


def test_it_has_nothing_of_the_test_but_what_it_is_given() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        with scripted(name="a") as backend:
            its = Path(f"/proc/{backend.pid}")
            assert not {each for each in files_of(its) if each.startswith("pipe:")}
            assert os.getsid(backend.pid) == backend.pid
            words = (its / "cmdline").read_bytes()
            assert words.startswith(b"python\0")
            marks = (its / "environ").read_bytes().split(b"\0")
            assert f"INFERGATE_TEST_RUN={os.environ['INFERGATE_TEST_RUN']}".encode() in marks
            os.kill(backend.pid, signal.SIGTERM)
            assert backend._process.wait(10) == -signal.SIGTERM
    finally:
        os.close(reading)
        os.close(writing)


def test_another_command_is_no_fork() -> None:
    with ForkingPopen([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE) as process:
        assert process.communicate(timeout=60)[0] == b"1\n"
