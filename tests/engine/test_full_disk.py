"""The disk of the state folder is full, has no inodes, or is for reading only."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from infergate.live.revisions import current
from infergate.paths import Home
from tests.backends.servers import scripted
from tests.cache import ENGINES_HOME
from tests.gateway import Gateway, Ran, gateway

CONFIG = "backends: {{ a: {{ url: {a}, engine: vllm }} }}\nmodels: {{ m: [a] }}\n"


pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What our processes do beside nginx: one engine tells as much as two."""


@pytest.fixture(scope="module")
def small(engine: str) -> Iterator[Gateway]:
    """A gateway, not started, whose state folder is a disk of 24 MB with few inodes."""
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        it = stack.enter_context(gateway(engine, CONFIG.format(a=a.url), start=False))
        (it.home / "engines").unlink(missing_ok=True)
        options = ["-o", "size=24m,nr_inodes=2000,mode=755", "tmpfs", str(it.home)]
        mounted = subprocess.run(["mount", "-t", "tmpfs", *options], capture_output=True)
        if mounted.returncode != 0:
            pytest.skip("only root may mount a disk")
        stack.callback(subprocess.run, ["umount", "-l", str(it.home)], check=True)
        if (ENGINES_HOME / "engines").exists():
            (it.home / "engines").symlink_to(ENGINES_HOME / "engines")
        stack.callback(it.run, "down", "--now", check=False)
        yield it


def fill(folder: Path, what: str) -> list[Path]:
    made = []
    try:
        for number in itertools.count():
            made.append(folder / f"filling-{number}")
            with made[-1].open("wb", buffering=0) as file:
                while what == "space" and file.write(bytes(1 << 16)):
                    pass
    except OSError:
        pass
    return made


def said(ran: Ran) -> str:
    assert ran.returncode == 1
    return ran.stderr


def test_a_folder_for_reading_only_is_said_at_the_start(small: Gateway) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small.home)], check=True)
    refused = said(small.run("up", "--detach", check=False))
    subprocess.run(["mount", "-o", "remount,rw", str(small.home)], check=True)
    assert "Read-only file system" in refused
    assert str(small.home) in refused


@pytest.mark.long
@pytest.mark.parametrize("what", ["space", "inodes"])
def test_a_start_without_room_says_so(small: Gateway, what: str) -> None:
    """Also where there is none for the words of who starts it."""
    small.run("down", "--now", check=False)
    made = fill(small.home, what)
    try:
        refused = said(small.run("up", "--detach", check=False))
        assert "No space left" in refused
        assert "df -i" in refused
        assert str(small.home) in refused
    finally:
        for path in made:
            path.unlink(missing_ok=True)
    small.run("up", "--detach")
    small.run("down", "--now")


@pytest.mark.parametrize(
    ("reload", "what"),
    [
        (True, "space"),
        (False, "inodes"),
        pytest.param(True, "inodes", marks=pytest.mark.long),
        pytest.param(False, "space", marks=pytest.mark.long),
    ],
)
def test_an_apply_without_room_changes_nothing_and_leaves_nothing_half_made(
    small: Gateway, what: str, *, reload: bool
) -> None:
    home = Home(small.home)
    small.run("up", "--detach", check=False)
    small.run("apply", "--window", "0s")
    key = small.new_key("test")
    text = small.file.read_text()
    before = current(home)
    assert before is not None
    other = text.replace("[a]", "[a], n: [a]")
    if reload:
        other = f"{text}timeouts: {{ connect: 1{len(what)}s }}\n"
    small.file.write_text(other)
    made = fill(home.root, what)
    try:
        refused = said(small.run("apply", "--window", "0s", check=False))
        assert "No space left" in refused
        assert "df -i" in refused
        assert current(home) == before
        numbers = {each.name for each in home.revisions.iterdir()}
        assert max(map(int, numbers)) == before.number
        assert not (home.run / "change.json").exists()
        assert small.chat(key=key).status_code == 200
        assert small.run("status", check=False).returncode == 0
    finally:
        for path in made:
            path.unlink(missing_ok=True)
    small.run("apply", "--window", "0s")
    assert small.chat(key=key).status_code == 200
    small.file.write_text(text)


@pytest.mark.long
def test_a_backend_that_has_no_room_does_not_come_later_when_nobody_expects_it(
    small: Gateway,
) -> None:
    small.run("up", "--detach", check=False)
    made = fill(small.home, "inodes")
    try:
        added = small.run("backend", "add", "later", "http://127.0.0.1:9", check=False)
        assert "No space left" in said(added)
        weighed = small.run("backend", "weight", "a", "7", check=False)
    finally:
        for path in made:
            path.unlink(missing_ok=True)
    listed = json.loads(small.run("backend", "list", "--json").stdout)["backends"]
    assert "later" not in listed
    assert listed["a"]["weight"] == (7 if weighed.returncode == 0 else 1)
    small.run("backend", "add", "later", "http://127.0.0.1:9")
    small.run("backend", "remove", "later")
