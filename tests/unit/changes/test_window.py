"""When a change counts as broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infergate.changes.watch import _Log
from infergate.changes.window import Answers, broken, count
from tests.access_log import line


@pytest.mark.parametrize(
    ("before", "after", "is_broken"),
    [
        (Answers(100, 0), Answers(20, 20), True),
        (Answers(0, 0), Answers(5, 5), True),
        (Answers(100, 0), Answers(4, 4), False),  # too few to say anything
        (Answers(100, 50), Answers(100, 52), False),  # as bad as before
        (Answers(100, 50), Answers(100, 70), True),
        (Answers(100, 0), Answers(1000, 50), False),
        (Answers(100, 0), Answers(0, 0), False),
    ],
)
def test_errors_count_against_a_change_only_if_there_are_more_than_before(
    before: Answers, after: Answers, is_broken: bool
) -> None:
    assert (broken(before, after) is not None) == is_broken


def test_requests_that_came_before_the_change_do_not_count_against_it() -> None:
    entries = [
        json.loads(line(ts=100.0, request_time=5.0, status=502)),
        json.loads(line(ts=100.0, request_time=0.5, status=502)),
        json.loads(line(ts=101.0, request_time=0.5, status=200)),
    ]
    assert count(entries, 99.0, 1000.0) == Answers(2, 1)


def test_the_log_is_followed_over_a_rotation_and_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(line(id="old"))
    log = _Log(path)
    assert [each["id"] for each in log.past()] == ["old"]
    assert list(log.new()) == []
    new = line(id="new")
    with path.open("a") as file:
        file.write(new[:40])
        file.flush()
        assert list(log.new()) == []
        file.write(new[40:])
    assert [each["id"] for each in log.new()] == ["new"]
    path.rename(tmp_path / "access.log.1")
    path.write_text(line(id="rotated") + "no JSON\n")
    assert [each["id"] for each in log.new()] == ["rotated"]
