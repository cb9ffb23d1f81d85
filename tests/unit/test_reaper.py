"""Nothing that a test run started is left running when the run is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.gateway import until

RUN = """
import os, subprocess, sys, tempfile, time
from tests import reaper
reaper.start()
folder = tempfile.mkdtemp(prefix=reaper.folder_prefix())
sleep = ["sleep", "1000"]
marked = subprocess.Popen(sleep, start_new_session=True)
without_environment = subprocess.Popen(sleep, start_new_session=True, env={}, cwd=folder)
print(marked.pid, without_environment.pid, folder, flush=True)
time.sleep(1000)
"""


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_a_killed_run_started_ends_and_its_folders_go() -> None:
    bystander = subprocess.Popen(["sleep", "1000"])
    run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True)
    try:
        assert run.stdout is not None
        first, second, folder = run.stdout.readline().split()
        assert _runs(int(first))
        assert _runs(int(second))
        run.kill()
        until(lambda: not _runs(int(first)) and not _runs(int(second)))
        until(lambda: not Path(folder).exists())
        assert _runs(bystander.pid)
    finally:
        run.kill()
        bystander.kill()
        run.wait()
        bystander.wait()
