"""`infergate up --watch`: no change of the file is missed, whenever it comes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from infergate.changes.follow import follow
from infergate.files import stamp
from infergate.paths import Home
from infergate.state_folder import HOME_VARIABLE
from infergate.supervise.followed import last_followed, note_followed


@pytest.fixture(autouse=True)
def our_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    found = Home(tmp_path / "home")
    found.run.mkdir(parents=True)
    return found


def test_a_change_from_before_it_looked_is_applied_once(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "infergate.yaml"
    file.write_text("models: {}\n")
    note_followed(home, stamp(file))
    file.write_text("models: { m: [a] }\n")
    applied: list[Path] = []

    def apply(path: Path, _: Home) -> None:
        applied.append(path)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("infergate.changes.follow.take", apply)
    follow(file)
    assert applied == [file]
    assert last_followed(home) == stamp(file), "when it is started again it has seen this"


@pytest.mark.parametrize("content", [None, "", "null", "[1]", '{"a": 1}'])
def test_nothing_is_known_where_nothing_readable_was_noted(home: Home, content: str | None) -> None:
    if content is not None:
        home.followed.write_text(content)
    assert last_followed(home) is None
