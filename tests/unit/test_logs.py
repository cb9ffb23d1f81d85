"""`infergate logs` and `explain` go on over a rotated access log."""

from __future__ import annotations

from pathlib import Path

from infergate.admin.requests import log_lines
from infergate.cli import observe


def test_following_goes_on_in_the_new_file_and_loses_no_late_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("old\nlast\n")
    lines = observe._lines(path, 1, follow=True)
    assert next(lines) == "last"
    with path.open("a") as late:
        late.write("one\n")
        late.flush()
        assert next(lines) == "one"
        path.rename(tmp_path / "access.log.1")
        path.write_text("new\n")
        late.write("late\n")
        late.flush()
        assert next(lines) == "late"
    assert next(lines) == "new"
    with path.open("a") as more:
        more.write("newer\n")
    assert next(lines) == "newer"


def test_a_request_is_found_in_a_rotated_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    (tmp_path / "access.log.20261121T080000").write_text("a\n")
    path.write_text("b\n")
    assert list(log_lines(path)) == ["a\n", "b\n"]
