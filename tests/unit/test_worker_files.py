"""What somebody who got hold of a worker may have planted where we read and remove files."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

import pytest

from infergate.control.firewall import collect
from infergate.ledger.tail import Tail, log_files
from infergate.live.purge import FOLDER, purge_service, size_bytes
from infergate.paths import Home
from infergate.worker_files import WorkersFolder, entry_in, open_regular, scratch_folder, tail_of
from tests.unit.test_firewall import REPORT


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A folder of somebody else, as deep as ours are."""
    folder = tmp_path / "etc"
    (folder / "a" / "bc").mkdir(parents=True)
    for path in (folder / "kept", folder / "a" / "kept", folder / "a" / "bc" / "kept"):
        path.write_text(json.dumps(REPORT))
    return folder


def whole(canary: Path) -> bool:
    return len(list(canary.rglob("kept"))) == 3


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for folder in (home.waf_reports, home.logs, home.cache):
        folder.mkdir(parents=True)
    return home


def leave_report(home: Home) -> None:
    minute = home.waf_reports / "20261129" / "20261129-1200"
    minute.mkdir(parents=True, exist_ok=True)
    (minute / "report").write_text(json.dumps(REPORT))


def test_a_link_among_the_reports_is_not_followed(home: Home, canary: Path) -> None:
    (home.waf_reports / "day").symlink_to(canary)
    (home.waf_reports / "d").mkdir()
    (home.waf_reports / "d" / "minute").symlink_to(canary / "a")
    (home.waf_reports / "d" / "m").mkdir()
    (home.waf_reports / "d" / "m" / "report").symlink_to(canary / "kept")
    assert len(collect(home)) == 0
    assert whole(canary)
    assert not home.waf_log.exists(), "nor is it read"
    assert not list(home.waf_reports.rglob("*")), "and it is gone"


def test_what_is_no_report_does_not_stop_the_firewalls_log(home: Home) -> None:
    minute = home.waf_reports / "20261129" / "20261129-1200"
    (minute / "a folder").mkdir(parents=True)
    os.mkfifo(minute / "a fifo")
    os.mkfifo(home.waf_reports / "a fifo")
    (minute / "deep").write_text("[" * 500_000)
    surrogate = json.dumps(REPORT).replace('"/a?', r'"/\ud800?')
    (minute / "surrogate").write_text(surrogate)
    (minute / "number").write_text(
        json.dumps(REPORT).replace('"client_ip": "', '"client_ip": 1, "x": "')
    )
    (minute / "never").write_text(json.dumps(REPORT).replace("1795260730.212", "nan"))
    with (minute / "huge").open("wb") as huge:
        huge.truncate(2**40)
    for path in minute.iterdir():
        if path.is_file():
            os.utime(path, (0, 2**33))  # in the future, so not one that is being written
    leave_report(home)
    assert len(collect(home)) == 2
    lines = [json.loads(line) for line in home.waf_log.read_text().splitlines()]
    assert {line["path"] for line in lines} == {"/a", "/\ud800"}
    leave_report(home)
    assert len(collect(home)) == 1, "and it goes on"
    assert {path.name for path in minute.iterdir()} == {"a folder"}


def test_a_purge_follows_no_link(home: Home, canary: Path) -> None:
    folder = home.cache / "service-s"
    folder.mkdir()
    (folder / "a").symlink_to(canary)
    (folder / "b").mkdir()
    (folder / "b" / "bc").symlink_to(canary / "a")
    (folder / "b" / "file").write_text("x")
    assert size_bytes(folder)[0] == 3
    assert purge_service(home, "s") == 3
    assert whole(canary)


def test_a_cache_folder_that_is_a_link_is_not_looked_into(home: Home, canary: Path) -> None:
    (home.cache / "service-s").symlink_to(canary)
    assert purge_service(home, "s") == 0
    assert size_bytes(home.cache / "service-s") == (0, 0)
    (home.cache / FOLDER).symlink_to(canary)
    assert not WorkersFolder(home.cache / FOLDER).remove(PurePath("a", "bc", "kept"))
    assert whole(canary)


@contextmanager
def swapping(folder: Path, target: Path) -> Iterator[None]:
    """While it runs, folder is a folder and a link in turn."""
    end, aside = threading.Event(), folder.with_name("aside")

    def swap() -> None:
        while not end.is_set():
            folder.rename(aside)
            folder.symlink_to(target)
            time.sleep(0)
            folder.unlink(missing_ok=True)  # a purge removes the link
            aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(home: Home, canary: Path) -> None:
    folder = home.cache / "service-s"
    (folder / "a" / "bc").mkdir(parents=True)
    with swapping(folder / "a", canary / "a"):
        for _ in range(60):
            with suppress(OSError):  # while it is a link
                (folder / "a" / "bc" / "other").touch()
            purge_service(home, "s")
            WorkersFolder(folder).remove(PurePath("a", "bc", "kept"))
            assert WorkersFolder(folder).read(PurePath("a", "bc", "kept"), 10_000) is None
    assert whole(canary)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    os.close(open_regular(tmp_path / "file"))
    for name in ("link", "fifo", "folder"):
        with pytest.raises(OSError):
            open_regular(tmp_path / name)
        assert tail_of(tmp_path / name) == ""
    with pytest.raises(OSError):
        open_regular("/dev/zero")


def test_a_fifo_or_a_folder_beside_the_access_log_does_not_stop_counting(home: Home) -> None:
    home.access_log.write_text('{"id":"1"}\n')
    os.mkfifo(home.logs / "access.log.1")
    (home.logs / "access.log.2").mkdir()
    (home.logs / "access.log.3").symlink_to("/dev/zero")
    assert log_files(home.access_log) == [home.access_log]
    tail = Tail(home.access_log, {})
    try:
        assert [piece.data for piece in tail.pieces()] == [b'{"id":"1"}\n']
    finally:
        tail.close()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "[]",
        '"x"',
        "7",
        "null",
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"a":' + "9" * 6000 + "}",
    ],
)
def test_a_line_of_a_log_that_is_no_object_is_none(line: str) -> None:
    assert entry_in(line) is None
    assert entry_in(line.encode()) is None


def test_what_a_client_sent_as_no_text_hides_no_line() -> None:
    assert entry_in(b'{"user_agent":"\xff"}') == {"user_agent": "\ufffd"}
    assert entry_in('{"user_agent":"\u2028"}') == {"user_agent": "\u2028"}


def test_a_trials_folder_goes_however_deep_a_worker_made_it_and_whatever_it_planted(
    canary: Path,
) -> None:
    with scratch_folder("ig-test-") as folder:
        (folder / "run" / "waf").mkdir(parents=True)
        (folder / "run" / "link").symlink_to(canary)
        os.link(canary / "kept", folder / "run" / "hard")
        os.mkfifo(folder / "run" / "waf" / "fifo")
        inside = os.open(folder / "run" / "waf", os.O_RDONLY)
        for _ in range(3000):  # more than Python's stack has frames
            os.mkdir("d", dir_fd=inside)
            os.symlink(canary, "link", dir_fd=inside)
            deeper = os.open("d", os.O_RDONLY, dir_fd=inside)
            os.close(inside)
            inside = deeper
    with pytest.raises(OSError, match="No such file"):
        os.mkdir("late", dir_fd=inside)
    os.close(inside)
    assert not folder.exists()
    assert whole(canary)


def test_a_worker_that_goes_on_making_files_does_not_stop_a_trial(canary: Path) -> None:
    stop = threading.Event()

    def make(theirs: Path) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with suppress(OSError):
                (theirs / f"{number}").mkdir()
                (theirs / f"{number}" / "link").symlink_to(canary)

    with scratch_folder("ig-test-") as folder:
        (folder / "theirs").mkdir()
        worker = threading.Thread(target=make, args=(folder / "theirs",))
        worker.start()
    stop.set()
    worker.join()
    shutil.rmtree(folder, ignore_errors=True)  # here the worker is us, and so keeps its folder
    assert whole(canary)
