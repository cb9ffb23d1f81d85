"""What is in a batch's file, whatever a client put there, and what a kill left of its answers."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergate.api.batches.journal import Done, Journal
from infergate.api.batches.lines import MOST_ERRORS, BadLine, CheckedLine, line_of, raw_lines
from infergate.api.files.folder import Folder, new_file_id
from tests.batches import jsonl

ENDPOINT = "/v1/embeddings"
LONGEST = 400


def checked(content: bytes, most: int = 1000) -> CheckedLine:
    found = CheckedLine(ENDPOINT, longest=LONGEST, most=most)
    for _ in found.look(io.BytesIO(content)):
        pass
    return found


def good(number: int) -> bytes:
    return jsonl(number, start=number).rstrip()


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n\n"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n \t\n"])
def test_files_of_every_editor_are_read(newline: bytes, start: bytes, end: bytes) -> None:
    found = checked(start + newline.join(good(each) for each in range(5)) + end)
    assert (found.total, found.errors) == (5, [])


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\xff", "invalid_json_line"),
        (b"\0", "invalid_json_line"),
        (good(1).replace(b"r1", b"r\0"), "invalid_json_line"),
        (good(1)[:-1], "invalid_json_line"),
        (good(1) + b"x", "invalid_json_line"),
        (b"[" * 390, "invalid_json_line"),
        (b"[]", "invalid_json_line"),
        (b"1", "invalid_json_line"),
        (good(1).replace(b'"input": 1', b'"x": NaN'), "invalid_json_line"),
        (good(1).replace(b'"input": 1', b'"x": 1e999'), "invalid_json_line"),
        (good(1).replace(b'"r1"', b'""'), "invalid_custom_id"),
        (good(1).replace(b'"r1"', b"null"), "invalid_custom_id"),
        (good(1).replace(b'{"model": "m", "input": 1}', b"[]"), "invalid_body"),
        (good(1).replace(b'"input": 1', b'"background": true'), "invalid_body"),
        (b"x" * (LONGEST + 1), "line_too_long"),
        (b" " * (LONGEST + 9), "line_too_long"),
        (b"\r" * (LONGEST * 3), "line_too_long"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_the_next_one_is_read(
    line: bytes, code: str
) -> None:
    found = checked(good(7) + b"\n\n" + line + b"\n" + good(8) + b"\n{\n")
    assert [(each["line"], each["code"]) for each in found.errors] == [
        (3, code),
        (5, "invalid_json_line"),
    ]
    assert found.total == 4


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_a_line_may_be_as_long_as_the_setting_says_and_no_longer(
    longest: int, length: int, bom: bytes
) -> None:
    content = bom + b"x" * length + b"\r\n" + b"y\n"
    first, second = raw_lines(io.BytesIO(content), longest)
    assert first == (1, b"x" * length if length <= longest else None)
    assert second == (2, b"y")


@given(st.binary(max_size=200).filter(lambda each: not each.startswith(b"\xef\xbb\xbf")))
def test_lines_are_numbered_as_every_editor_numbers_them(content: bytes) -> None:
    physical = content.split(b"\n")
    expected = [
        (number, each.removesuffix(b"\r"))
        for number, each in enumerate(physical, 1)
        if each.removesuffix(b"\r").strip()
    ]
    assert list(raw_lines(io.BytesIO(content), 300)) == expected


@given(st.lists(st.binary(max_size=40) | st.sampled_from([good(n) for n in range(3)]), max_size=12))
def test_no_file_is_a_fault(lines: list[bytes]) -> None:
    """Whatever is in it, it has errors or every line of it can be asked."""
    content = b"\n".join(lines)
    found = checked(content)
    ids = []
    for number, raw in raw_lines(io.BytesIO(content), LONGEST):
        with contextlib.suppress(BadLine):
            line = line_of(number, raw, ENDPOINT, LONGEST)
            json.dumps(line.body, allow_nan=False)
            ids.append(line.custom_id)
    if not found.errors:
        assert len(set(ids)) == len(ids) == found.total > 0


def test_of_many_wrong_lines_the_first_hundred_are_told() -> None:
    found = checked(b"{\n" * 1000)
    assert len(found.errors) == MOST_ERRORS
    assert found.errors[-1]["line"] == MOST_ERRORS


def test_a_huge_line_needs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(50 * 1024**2)  # NULs
    tracemalloc.start()
    try:
        with path.open("rb") as content:
            assert list(raw_lines(content, 1000)) == [(1, None)]
        assert tracemalloc.get_traced_memory()[1] < 1024**2
    finally:
        tracemalloc.stop()


def some(number: int) -> Done:
    status = 400 if number % 3 == 0 else 200
    return Done(number, f"r{number}", {"status_code": status, "request_id": "", "body": {}})


@given(st.data())
def test_a_journal_cut_anywhere_has_no_line_twice_and_none_half(data: st.DataObject) -> None:
    """As a kill, or a machine that stops, leaves it: each file ends at any byte."""
    with tempfile.TemporaryDirectory() as folder:
        files = Folder(Path(folder) / "files")
        output, errors = new_file_id(), new_file_id()
        journal = Journal(files, "batch_a1", output, errors)
        journal.write([some(number) for number in range(1, 5)])
        journal.write([some(number) for number in range(5, 10)])
        journal.close()
        for id_ in (output, errors):
            whole = files.path(id_).read_bytes()
            cut = data.draw(st.integers(0, len(whole)))
            files.path(id_).write_bytes(whole[:cut])
        again = Journal(files, "batch_a1", output, errors)
        left = [number for number in range(1, 10) if number not in again.done]
        again.write([some(number) for number in left])
        again.close()
        assert (again.completed, again.failed) == (6, 3)
        lines = [
            json.loads(each)
            for id_ in (output, errors)
            for each in files.path(id_).read_bytes().splitlines()
        ]
        assert sorted(each["custom_id"] for each in lines) == [f"r{n}" for n in range(1, 10)]
        assert len({each["id"] for each in lines}) == 9


def test_a_line_that_no_file_of_answers_has_ends_what_is_believed(tmp_path: Path) -> None:
    files = Folder(tmp_path / "files")
    output, errors = new_file_id(), new_file_id()
    first = Journal(files, "batch_a1", output, errors)
    first.write([some(1), some(2)])
    first.close()
    with files.path(output).open("ab") as file:
        file.write(b"\0" * 4096 + b"\n" + some(4).line("batch_a1"))
    again = Journal(files, "batch_a1", output, errors)
    again.close()
    assert again.done == {1, 2}
    assert files.path(output).read_bytes() == some(1).line("batch_a1") + some(2).line("batch_a1")
