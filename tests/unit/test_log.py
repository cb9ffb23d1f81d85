"""What the Python processes say: one line an event, harmless whatever is in it."""

from __future__ import annotations

import io
import json
import sys
from datetime import datetime

import pytest

from infergate.log import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_is_json_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    log.warning("a probe failed", backend="ä", in_s=0.5, why=ValueError("no"))
    said = json.loads(capsys.readouterr().err)
    assert datetime.fromisoformat(said.pop("timestamp")).year >= 2026
    assert said == {
        "event": "a probe failed",
        "level": "warning",
        "backend": "ä",
        "in_s": 0.5,
        "why": "ValueError('no')",
    }


def test_a_line_is_for_people_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    log.info("stopped", pid=7, why="it was told to", who="me", empty="")
    assert terminal.getvalue()[9:].split() == (
        "[info ] stopped pid=7 why='it was told to' who=me empty=''".split()
    )


def test_an_exception_is_told_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("a reason\x1b[2J")
    except ValueError:
        log.exception("a fault of ours", file="f")
    said = json.loads(capsys.readouterr().err)
    assert said["level"] == "error"
    assert said["exception"].startswith("Traceback")
    assert said["exception"].endswith("ValueError: a reason\\u001b[2J")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_in_a_line_commands_a_terminal(
    stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", told := stream())
    log.error("said\x1b[31m", by="b\nfake line\u202e")
    assert told.getvalue().count("\n") == 1
    assert "\x1b" not in told.getvalue()
    assert "\u202e" not in told.getvalue()


def test_a_terminal_that_was_closed_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Closed())
    log.error("nobody reads this")
