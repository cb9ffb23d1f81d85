"""State files that a full disk, a crash or a hand has damaged: told, set aside, made anew."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import scripted
from tests.engine.conftest import PAIR
from tests.gateway import Gateway, gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""Files that nginx does not read, or passes over on both engines."""

GROUP = "g: { discover: { file: g.yaml } }"


def damage_all(it: Gateway, damage: bytes) -> set[Path]:
    home = Home(it.home)
    names = ("conditions", "health", "changes", "discovered", "routes", "keys", "services")
    files = {home.state / f"{name}.json" for name in names}
    files.add(home.current.resolve() / "revision.json")
    for file in files:
        file.write_bytes(damage)
    return files


def restart_control(it: Gateway) -> None:
    control = it.status()["processes"]["control"]
    os.kill(control, signal.SIGKILL)
    until(lambda: it.status()["processes"]["control"] not in (None, control))


@pytest.mark.long
def test_damaged_state_files_are_set_aside_and_made_anew(
    engine: str, start: Callable[..., Any]
) -> None:
    a, b = start(scripted, name="a"), start(scripted, name="b")
    config = PAIR.format(a=a.url, b=b.url).replace(" } }", f" }}, {GROUP} }}", 1)
    it = start(gateway, engine, config, start=False)
    (it.folder / "g.yaml").write_text(f"- url: {a.url}/c\n")
    it.up()
    it.run("backend", "weight", "a", "2")
    it.run("backend", "drain", "b")
    home = Home(it.home)
    (home.revisions / "99").write_text("somebody's notes")
    damaged = damage_all(it, b'{"v": 1, "changes": [{"backe')
    restart_control(it)
    key = it.new_key("after")
    assert it.chat(key=key).status_code == 200
    until(lambda: all(each.exists() for each in damaged))
    until(lambda: read(home.socket).conditions.get("b") == "drained")
    until(lambda: it.backend("a")["weight"] == 2)
    for command in ("plan", "apply", "history"):
        assert it.run(command).returncode == 0
    assert not it.status()["failing"]
    assert f"{home.changes}.unreadable" in it.status()["set_aside"]
    assert "A state file was damaged" in it.run("status").stdout
    damage_all(it, b"{")
    it.run("down")
    it.run("up", "--detach")
    assert it.chat().status_code == 200
    assert it.backend("b")["drained"]
    assert (home.revisions / "99").read_text() == "somebody's notes"
