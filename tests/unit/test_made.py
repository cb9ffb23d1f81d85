"""What is made of our own files is kept, and never what was made of others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infergate.nginx.made import made


@pytest.fixture(autouse=True)
def writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def makes(text: str, asked: list[str]) -> Callable[[], str]:
    def make() -> str:
        asked.append(text)
        return text

    return make


def test_it_is_made_once_for_all_processes(tmp_path: Path) -> None:
    asked: list[str] = []
    for _ in range(2):
        assert made("a.js", b"source", makes("ä program", asked), tmp_path) == "ä program"
    assert asked == ["ä program"]


def test_a_changed_source_makes_it_anew(tmp_path: Path) -> None:
    made("a.js", b"source", makes("old", []), tmp_path)
    assert made("a.js", b"another", makes("new", []), tmp_path) == "new"
    assert made("b.js", b"another", makes("its own", []), tmp_path) == "its own"


@pytest.mark.parametrize("damage", [lambda kept: kept[:40], lambda kept: b"", lambda kept: b"x"])
def test_a_damaged_one_counts_for_nothing(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    made("a.js", b"source", makes("x" * 100, []), tmp_path)
    [kept] = (tmp_path / "__pycache__").iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    assert made("a.js", b"source", makes("anew", []), tmp_path) == "anew"


@pytest.mark.parametrize("writes", [True, False])
def test_where_nothing_can_be_kept_it_is_made_each_time(
    tmp_path: Path, writes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if writes:
        (tmp_path / "__pycache__").write_text("no folder")
    monkeypatch.setattr(sys, "dont_write_bytecode", not writes)
    asked: list[str] = []
    for _ in range(2):
        assert made("a.js", b"source", makes("text", asked), tmp_path) == "text"
    assert asked == ["text", "text"]
