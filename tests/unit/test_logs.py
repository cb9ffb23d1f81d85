"""`infergate logs` and `explain` go on over a rotated access log."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from infergate.admin.requests import log_lines
from infergate.changes import watch
from infergate.cli import logs
from infergate.ledger.tail import Tail
from infergate.nginx import access_line
from infergate.nginx.access_line_schema import json_schema
from infergate.worker_files import entry_in
from tests.access_log import LINE
from tests.gateway import run_here


def test_following_goes_on_in_the_new_file_and_loses_no_late_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("old\nlast\n")
    lines = logs._lines(path, 1, follow=True)
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


HOLE = 1 << 42
"""4 TB, which nobody could read or hold."""


def with_hole(tmp_path: Path) -> Path:
    """A log that a worker has made so long, and to which others go on writing."""
    path = tmp_path / "access.log"
    path.write_text('{"id": "a"}\n')
    os.truncate(path, HOLE)
    with path.open("a") as file:
        file.write('\n{"id": "b"}\n')
    return path


def test_a_log_that_a_worker_made_endless_is_read_and_shown_to_its_end(tmp_path: Path) -> None:
    path = with_hole(tmp_path)
    for size in (path.stat().st_size, HOLE * 2):
        os.truncate(path, size)
        assert list(log_lines(path)) == ['{"id": "a"}\n', '{"id": "b"}\n']
        assert list(logs._lines(path, 1, follow=False)) == ['{"id": "b"}']


def test_a_log_that_a_worker_made_endless_is_counted_to_its_end(tmp_path: Path) -> None:
    tail, lines = Tail(with_hole(tmp_path), {}), []
    at = 0
    for _ in range(10):
        for piece in tail.pieces():
            assert piece.start == at, "nothing is left out"
            at = piece.end
            lines += [line for line in piece.data.split(b"\n") if line.strip(b"\0")]
            tail.counted(piece)
    tail.close()
    assert lines == [b'{"id": "a"}', b'{"id": "b"}']


def test_a_log_that_a_worker_made_endless_does_not_end_the_watch_of_an_apply(
    tmp_path: Path,
) -> None:
    path = tmp_path / "access.log"
    path.write_text("")
    log = watch._Log(path)
    with_hole(tmp_path)
    assert list(log.new()) == []


def test_only_the_lines_that_are_asked_for_are_shown(tmp_path: Path) -> None:
    config = tmp_path / "infergate.yaml"
    config.write_text(
        "backends: { a: http://127.0.0.1:1 }\n"
        f"auth: {{ keys: {{ alice: {{ hash: {'ab' * 32}, team: red }} }} }}\n"
    )
    path = tmp_path / "home/logs/access.log"
    path.parent.mkdir(parents=True)
    entries = [
        {"id": "1", "key": "alice", "gen_ai.request.model": "m", "status": 200},
        {"id": "2", "key": "bob", "model_asked": "m", "status": 429},
        {
            "id": "3",
            "v": 1,
            "key": "bob",
            "tokens": None,
            "tried": "",
            "backend": "",
            "model": "n",
            "status": 503,
        },
    ]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in entries) + "no line\n")

    def shown(*options: str) -> str:
        command = ["logs", "--json", *options, "-c", str(config)]
        ran = run_here(command, {"INFERGATE_HOME": str(tmp_path / "home")})
        assert ran.returncode == 0, ran.stderr
        return "".join(entry_in(line.encode())["id"] for line in ran.stdout.splitlines())  # type: ignore[index]

    assert shown("--key", "bob") == "23"
    assert shown("--model", "m") == "12"
    assert shown("--model", "n") == "3"
    assert shown("--status", "429") == "2"
    assert shown("--status", "5xx") == "3"
    assert shown("--key", "bob", "--status", "2xx") == ""
    assert shown("--team", "red") == "1"
    assert shown("--key", "bob", "-n", "1") == "3"
    command = ["logs", "--status", "many", "-c", str(config)]
    ran = run_here(command, {"INFERGATE_HOME": str(tmp_path / "home")})
    assert (ran.returncode, "'many' is no status" in ran.stderr) == (2, True)


def test_the_page_of_the_log_has_every_field_and_an_example_with_each() -> None:
    page = (Path(__file__).parents[2] / "docs/log.md").read_text().split("\n## ")[0]
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    assert rows == list(access_line.documented())
    example = json.loads(next(row for row in page.splitlines() if row.startswith("{")))
    assert list(example) == [each.name for each in access_line.FIELDS]


def test_the_schema_of_the_line_is_current_and_the_example_fits_it() -> None:
    docs = Path(__file__).parents[2] / "docs"
    written = json.loads((docs / "access-line.schema.json").read_text())
    assert written == json_schema(), "infergate logs schema > docs/access-line.schema.json"
    assert json.loads(run_here(["logs", "schema"], {}).stdout) == written
    rows = (docs / "log.md").read_text().splitlines()
    example = json.loads(next(row for row in rows if row.startswith("{")))
    LINE.validate(example)
    for wrong in ({"status": "200"}, {"attempts": [{"backend": "a"}]}, {"v": 1}, {"ts": None}):
        assert not LINE.is_valid({**example, **wrong}), wrong


_TEXT = re.compile(rf"^([\x00-\xff]*?){access_line.NO_UTF_8}".encode())
_PIECES = st.one_of(
    st.text(max_size=3).map(str.encode),
    st.binary(max_size=2),
    st.text(min_size=1, max_size=1).map(lambda one: one.encode()[:-1]),
)


@given(st.lists(_PIECES, max_size=6).map(b"".join))
def test_the_log_keeps_of_a_text_what_is_utf_8(text: bytes) -> None:
    try:
        text.decode()
        kept = None
    except UnicodeDecodeError as problem:
        kept = text[: problem.start]
    found = _TEXT.match(text)
    assert (found and found[1]) == kept
