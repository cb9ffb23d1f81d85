"""The log is handed on in whole lines, each at least once; who is away holds nothing up."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from infergate.ledger import follower, sinks
from infergate.ledger.ecs import as_ecs
from infergate.ledger.follower import Follower
from tests.access_log import line, line_1


def texts(of: Follower) -> list[str]:
    found = []
    for portion in of.portions():
        found.append(portion.data.decode())
        of.done(portion)
    return found


def test_a_reader_begins_with_what_is_new_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, kept = tmp_path / "access.log", tmp_path / "kept.json"
    path.write_text(line())
    reader = Follower(path, kept)
    assert texts(reader) == []
    new = [line() for _ in range(3)]
    with path.open("a") as file:
        file.write("".join(new) + new[0][:20])  # the last one is being written
    assert "".join(texts(reader)) == "".join(new)
    reader.close()
    path.rename(tmp_path / "access.log.1")
    path.write_text(later := line())
    again = Follower(path, kept)
    assert "".join(texts(again)) == later
    again.close()


def test_what_was_not_handed_on_comes_again_in_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, kept = tmp_path / "access.log", tmp_path / "kept.json"
    path.write_text(line())
    reader = Follower(path, kept)
    lines = [line() for _ in range(10)]
    with path.open("a") as file:
        file.write("".join(lines))
    monkeypatch.setattr(follower, "PORTION_BYTES", 3 * len(lines[0]))
    portions = list(reader.portions())
    assert len(portions) > 2
    assert all(each.data.endswith(b"\n") for each in portions)
    assert b"".join(each.data for each in portions).decode() == "".join(lines)
    reader.done(portions[0])
    reader.close()
    again = Follower(path, kept)
    assert "".join(texts(again)) == "".join(lines)[len(portions[0].data) :]
    again.close()


def test_who_was_away_for_too_long_goes_on_with_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "access.log"
    path.write_text(line())
    reader = Follower(path, tmp_path / "kept.json")
    monkeypatch.setattr(follower, "MOST_BEHIND_BYTES", 100)
    with path.open("a") as file:
        file.write(line())
    assert texts(reader) == []
    assert reader.passed_over_bytes > 100
    monkeypatch.setattr(follower, "MOST_BEHIND_BYTES", 10_000)
    with path.open("a") as file:
        file.write(new := line())
    assert texts(reader) == [new]
    reader.close()


def test_an_output_that_nobody_reads_is_waited_for_and_gets_no_half_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sinks, "_LONGEST_WAIT_S", 0.05)
    reading, writing = os.pipe()
    write = sinks.to_stdout(writing)
    lines = [f"{at:06d}" + "x" * 500 for at in range(1000)]
    with pytest.raises(TimeoutError):
        write(lines)
    read: list[bytes] = []

    def drain() -> None:
        while piece := os.read(reading, 65536):
            read.append(piece)

    thread = threading.Thread(target=drain)
    thread.start()
    monkeypatch.setattr(sinks, "_LONGEST_WAIT_S", 60)
    write(lines)  # it comes again, and goes on where it stopped
    os.close(writing)
    thread.join()
    os.close(reading)
    assert b"".join(read).decode().splitlines() == lines


def test_elastic_gets_what_failed_as_that_and_lines_of_version_1_too() -> None:
    failed = json.loads(as_ecs(line(status=503, error="backend_failed")) or "")
    assert (failed["event"]["outcome"], failed["error"]) == ("failure", {"code": "backend_failed"})
    assert failed["infergate"]["cache_read"] == {"input_tokens": 2}
    assert "ts" not in failed["infergate"]
    assert json.loads(as_ecs(line_1()) or "")["gen_ai"]["usage"]["input_tokens"] == 7
    assert as_ecs("no line") is None
    assert as_ecs('{"v":2,"ts":"never"}') is None
