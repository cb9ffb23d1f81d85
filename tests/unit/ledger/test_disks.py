"""Disks that are full or read-only: counting stops, says why, and catches up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.errors import StateError
from infergate.ledger.ledger import Ledger
from infergate.paths import Home
from infergate.store.database import database_for
from infergate.store.key_changes import create_key
from infergate.store.keys import all_keys
from tests.access_log import in_logs, in_store, line


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB for the database alone."""
    folder = tmp_path / "home" / "state"
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def home(disk: Path) -> Home:
    home = Home(disk.parent)
    home.logs.mkdir()
    return home


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    config = parse_config("backends: { a: http://127.0.0.1:9 }", Path("x.yaml"), {}).config
    it = Ledger(home, database_for(config, home, keep=True), lambda: config)
    yield it
    it.close()


def _fill(disk: Path) -> Path:
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(os.urandom(4096))
            except OSError:
                return path


def _append(home: Home, count: int) -> None:
    # Keys by the hundreds, so that the database must grow.
    with home.access_log.open("a") as file:
        file.write("".join(line(key=f"key-{number}") for number in range(count)))


def test_a_full_disk_stops_counting_and_space_resumes_it(
    home: Home, disk: Path, ledger: Ledger
) -> None:
    database = ledger._database
    _append(home, 10)
    ledger.step()
    filler = _fill(disk)
    _append(home, 300)
    for _ in range(3):
        with pytest.raises(StateError) as caught:
            ledger.step()
    assert "full" in caught.value.what
    assert "Free some space" in str(caught.value.hint)
    assert in_store(database)[0] == 10
    assert len(all_keys(database)) == 0, "it can still be read"

    def create_many() -> None:
        for number in range(200):
            create_key(database, f"key-{number}")

    with pytest.raises(StateError, match="full"):
        create_many()
    filler.unlink()
    ledger.step()
    assert in_store(database) == in_logs(home.access_log)
    create_key(database, "after")


def test_a_read_only_database_stops_counting_and_a_writable_one_resumes_it(
    home: Home, disk: Path, ledger: Ledger
) -> None:
    database = ledger._database
    _append(home, 10)
    ledger.step()
    database.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    _append(home, 5)
    with pytest.raises(StateError) as caught:
        ledger.step()
    assert caught.value.where == str(home.store)
    assert "writable" in str(caught.value.hint)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    ledger.step()
    assert in_store(database) == in_logs(home.access_log)
