"""Another nginx under a running gateway: nobody is refused, no stream is cut, one can go back.

Two versions are the same files in two folders: what is tested is the change, not the versions.
"""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from infergate.changes import engine_upgrade
from infergate.engine.find import find_debian
from infergate.engine.running import running_engine
from infergate.errors import ApplyError
from infergate.paths import Home
from infergate.supervise.engine_change import EngineWanted, change_engine
from tests.backends.servers import scripted
from tests.cache import ENGINES_HOME
from tests.gateway import Gateway, gateway, until

OLD, NEW = "debian-1.26.3-3+deb13u1", "debian-99.0-1"


@pytest.fixture
def it(start: Callable[..., Any]) -> Gateway:
    """A gateway on OLD, whose backend takes four seconds for a stream."""
    there = next(iter(find_debian(ENGINES_HOME)), None)
    if there is None:
        pytest.skip("Debian's engine is not installed; `make test` brings it where apt is")
    a = start(scripted, name="a")
    a.behave(path_prefix="/v1/chat", chunk_delay_s=0.2, chunks=20)
    config = f"backends: {{ a: {{ url: {a.url}, engine: vllm }} }}\nmodels: {{ m: [a] }}\n"
    found: Gateway = start(gateway, "debian", config, start=False)
    (found.home / "engines").unlink()
    (found.home / "engines").mkdir()
    bring(found, OLD)
    found.up()
    return found


def bring(it: Gateway, name: str) -> None:
    source = find_debian(ENGINES_HOME)[0].binary.parents[2]
    shutil.copytree(source, it.home / "engines" / name, symlinks=True)


def name_running(it: Gateway) -> str:
    argv = running_engine(it.home)
    assert argv is not None
    return Path(argv[-1]).parents[2].name


@pytest.fixture(autouse=True)
def fake_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_upgrade, "install_debian_engine", lambda *_, **__: None)


class Callers(threading.Thread):
    """Connects all the time, and writes down what went wrong."""

    def __init__(self, it: Gateway) -> None:
        super().__init__(daemon=True)
        self.it, self.ended, self.answers = it, threading.Event(), 0
        self.problems: list[str] = []

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                answer = httpx.get(
                    f"{self.it.url}/v1/models", headers=self.it.headers(), timeout=30
                )
                self.answers += 1
                if answer.status_code != 200:
                    self.problems.append(answer.text)
            except httpx.HTTPError as problem:
                self.problems.append(repr(problem))


@pytest.mark.long
def test_an_upgrade_refuses_nobody_and_cuts_no_stream(it: Gateway) -> None:
    bring(it, NEW)
    assert name_running(it) == OLD
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    callers = Callers(it)
    with httpx.stream(
        "POST", f"{it.url}/v1/chat/completions", json=body, headers=it.headers(), timeout=60
    ) as stream:
        lines = stream.iter_lines()
        next(lines)
        callers.start()
        said = it.run("engine", "upgrade", "--window", "1s").stdout
        rest = list(lines)
    callers.ended.set()
    callers.join()
    assert f"{NEW}/usr/sbin/nginx" in said
    assert "data: [DONE]" in rest
    assert (callers.problems, callers.answers > 0) == ([], True)
    assert name_running(it) == NEW
    assert it.chat().status_code == 200
    time.sleep(0.5)  # the one before has ended by now, and has taken its pid file away
    until(lambda: it.status()["processes"]["nginx"])
    it.run("reload")
    assert it.chat().status_code == 200
    assert "It runs on the newest already" in it.run("engine", "upgrade").stdout


@pytest.mark.long
def test_an_engine_that_breaks_something_is_taken_back_and_set_aside(
    it: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(it, NEW)
    monkeypatch.setattr(engine_upgrade.Watch, "until", lambda *_: "half of all requests fail")
    ran = it.run("engine", "upgrade", check=False)
    assert ran.returncode == 1
    assert "half of all requests fail" in ran.stderr
    assert name_running(it) == OLD
    assert it.chat().status_code == 200
    assert (it.home / "engines" / f"refused-{NEW}").is_dir()
    assert [each.binary.parents[2].name for each in find_debian(it.home)] == [OLD]


def test_an_engine_that_does_not_start_leaves_the_one_before_running(it: Gateway) -> None:
    home = Home(it.home)
    with pytest.raises(ApplyError, match="did not start"):
        change_engine(home, EngineWanted(("/bin/false",), str(home.current.readlink())))
    assert name_running(it) == OLD
    assert it.chat().status_code == 200


@pytest.mark.long
def test_a_newer_engine_in_the_folder_does_not_confuse_what_runs(it: Gateway) -> None:
    """What is rendered names the modules of the engine: a reload with another one's would fail."""
    bring(it, NEW)
    it.run("reload")
    assert f"/{OLD}/" in (it.home / "current/nginx.conf").read_text()
    it.run("down", "--now")
    it.run("up", "--detach")
    assert name_running(it) == NEW


def test_who_connects_while_no_nginx_runs_waits(it: Gateway) -> None:
    """The sockets are held while one nginx goes and the next comes."""
    from infergate.supervise.taken_over import listening_sockets

    status = it.status()["processes"]["nginx"]
    with listening_sockets(status) as sockets:
        ports = set()
        for number in sockets:
            with socket.socket(fileno=number) as taken:
                ports.add(taken.getsockname()[1])
                taken.detach()
    assert it.port in ports
