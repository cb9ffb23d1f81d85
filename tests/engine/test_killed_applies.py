"""An apply that is killed at any step is finished or rolled back, by itself and at once."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from infergate.live.revisions import current
from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import scripted
from tests.gateway import Gateway, gateway, until
from tests.killed_apply import apply_killed, apply_read_only

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What our processes do beside nginx: one engine tells as much as two (`make soak`: both)."""

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }} }}
models:
  m: {{ backends: [a], aliases: [name-{number}] }}
timeouts: {{ connect: {connect}ms }}
health: {{ interval: 5s }}
"""

_READ_ONLY = "Read-only file system|readonly database"


class Killed:
    """A gateway, and changes of it that are killed. reload: whether nginx is reloaded for them."""

    def __init__(self, it: Gateway, url: str) -> None:
        self.it, self._url, self.number = it, url, 0

    def write(self, *, reload: bool) -> None:
        self.number += 1
        connect = 1000 + self.number if reload else 900
        self.it.write(CONFIG.format(a=self._url, number=self.number, connect=connect))

    def check(self) -> None:
        """All is of one configuration: files, nginx, its memory."""
        home = Home(self.it.home)
        until(lambda: not (home.run / "change.json").exists())
        now = current(home)
        assert now is not None
        names = {each["id"] for each in self.it.get("/v1/models").json()["data"]}
        assert [f"name-{n}" for n in range(self.number + 1) if f"name-{n}" in names] == [
            f"name-{n}" for n in range(self.number + 1) if f"[name-{n}]" in now.text
        ]
        assert read(home.socket).revision <= now.number
        site = (home.revisions / str(read(home.socket).revision) / "infergate.yaml").read_text()
        assert site.split("timeouts")[1] == now.text.split("timeouts")[1], "what nginx runs"
        assert self.it.chat().status_code == 200


@pytest.fixture(scope="module")
def killed(engine: str) -> Iterator[Killed]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        first = CONFIG.format(a=a.url, number=0, connect=900)
        yield Killed(stack.enter_context(gateway(engine, first)), a.url)


@pytest.mark.long
@pytest.mark.parametrize("reload", [True, False])
def test_an_apply_that_is_killed_between_its_steps_leaves_nothing_mixed(
    killed: Killed, *, reload: bool
) -> None:
    """Before each third of them: `make soak` takes all, on both engines."""
    killed.write(reload=reload)
    steps = apply_killed(killed.it, None)
    assert "change.json" in steps[0]
    assert "change.json" in steps[-1]
    killed.check()
    for step in range(int(reload), len(steps), 3):
        killed.write(reload=reload)
        apply_killed(killed.it, step)
        killed.check()
    assert killed.it.run("apply", "--window", "0s").returncode == 0
    killed.check()
    assert "already active" in killed.it.run("apply").stdout


@pytest.mark.long
def test_an_apply_that_was_killed_is_settled_at_the_next_command_or_start(killed: Killed) -> None:
    it, home = killed.it, Home(killed.it.home)
    killed.write(reload=True)
    steps = apply_killed(killed.it, None)
    switched = next(n for n, step in enumerate(steps) if step.endswith("home/.current")) + 3
    for following in (["plan"], ["up", "--detach"]):
        processes = it.status()["processes"]
        for name in ("supervisor", "control"):
            os.kill(processes[name], signal.SIGKILL)
        until(lambda: it.status()["processes"]["control"] is None)
        killed.write(reload=True)
        apply_killed(it, switched)
        assert (home.run / "change.json").exists()
        it.run(*following)
        assert not (home.run / "change.json").exists()
        killed.check()
        it.run("up", "--detach", check=False)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("reload", [True, False])
def test_an_apply_whose_disk_turns_read_only_says_what_is_active_and_mixes_nothing(
    killed: Killed, *, reload: bool
) -> None:
    killed.write(reload=reload)
    steps = apply_killed(killed.it, None)
    killed.check()
    for step in range(int(reload), len(steps), 4):
        killed.write(reload=reload)
        code, _, said = apply_read_only(killed.it, step).partition(" ")
        assert code == "0" or re.search(_READ_ONLY, said), (steps[step], said)
        assert "Traceback" not in said
        killed.check()
        now = current(Home(killed.it.home))
        assert now is not None
        is_new = f"[name-{killed.number}]" in now.text
        told = f"Revision {now.number} is active" in said
        assert is_new or code == "1", "it did not become active"
        if code == "1" and step > 4:  # it was switched to
            assert "is active again" in said or "it is settled, by itself" in said, steps[step]
        assert told or code == "1"
        assert killed.it.run("apply", "--window", "0s").returncode == 0
        killed.check()


@pytest.mark.long
@pytest.mark.parametrize("dies", ["nginx", "control"])
def test_a_process_that_dies_just_before_it_is_told_to_reload_takes_the_change_all_the_same(
    killed: Killed, dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL, in the moment between where it is looked for and where it is told."""
    it, kill = killed.it, os.kill
    pid = it.status()["processes"][dies]

    def too_late(told: int, number: int) -> None:
        if told == pid and number == signal.SIGHUP:
            kill(pid, signal.SIGKILL)
            until(lambda: not Path(f"/proc/{pid}").exists())
        kill(told, number)

    monkeypatch.setattr(os, "kill", too_late)
    killed.write(reload=True)
    said = it.run("apply", "--window", "0s")
    assert "Traceback" not in said.stderr
    until(lambda: it.status()["processes"][dies] not in (None, pid))
    killed.check()
    assert f"name-{killed.number}" in it.get("/v1/models").text
