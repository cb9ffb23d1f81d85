"""What came from outside is shown on a terminal, and never obeyed by it."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from infergate.cli.progress import busy
from infergate.cli.rows import print_rows
from infergate.cli.terminal import Styled, harmless
from infergate.shown import is_plain, shown, shown_text
from tests.access_log import attempt, line
from tests.gateway import Gateway, gateway, run_here

MODEL = "gen_ai.request.model"
EVIL = "a\x1b]0;t\x07\x9b31m\r\u202e[/x][red]:smile:\u2028\x00\x7fz"
HARMLESS = r"a\u001b]0;t\u0007\u009b31m\u000d\u202e[/x][red]:smile:\u2028\u0000\u007fz"


def test_every_character_that_a_terminal_obeys_is_shown_as_its_number() -> None:
    everything = "".join(map(chr, range(0x110000)))
    left = [c for c in shown(everything) if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs")]
    bidi = [
        c
        for c in shown(everything)
        if unicodedata.bidirectional(c)
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]
    assert (left, bidi) == ([], [])
    shown(everything).encode()
    assert shown("Grüße 日本 😀 → °") == "Grüße 日本 😀 → °"
    assert (shown("a\tb\nc"), shown_text("a\tb\nc")) == (r"a\u0009b\u000ac", "a\tb\nc")
    assert (is_plain("Grüße"), is_plain(EVIL)) == (True, False)


def test_what_is_json_stays_the_same_json() -> None:
    said = "".join(chr(each) for each in range(0x110000) if not 0xD800 <= each < 0xE000)
    text = json.dumps(said, ensure_ascii=False)
    assert is_plain(shown(text))
    assert json.loads(shown(text)) == said


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


def test_whoever_prints_and_wherever_to_it_is_harmless(printed: io.StringIO) -> None:
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), harmless():
        print(EVIL)
        print(EVIL, file=sys.stderr)
        sys.stdout.writelines([EVIL])
        print_rows(("NAME",), [(EVIL + "\nx",)])
    assert printed.getvalue().count(HARMLESS) == 4
    assert shown_text(printed.getvalue()) == printed.getvalue()
    assert printed.getvalue().endswith("\\u000ax\n")


def test_whose_output_was_closed_before_is_no_reason_for_a_traceback() -> None:
    command = f"exec {sys.executable} -m infergate version --json >&-"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_names_are_no_markup_and_no_style_in_a_status(printed: io.StringIO) -> None:
    with contextlib.redirect_stdout(printed), harmless():
        terminal = Styled()
        terminal.line(EVIL, (EVIL, "yellow"))
        terminal.table(("A", "B"), [(EVIL, (EVIL, "red"))])
    said = printed.getvalue().replace("\n", "")
    assert said.replace(" ", "").count(HARMLESS) == 4 or "".join(said.split()).count("[/x]") == 4
    assert "\x1b" not in said


@pytest.fixture
def stopped() -> Gateway:
    with gateway("auto", "backends: { a: http://127.0.0.1:9 }\n", start=False) as it:
        (it.home / "logs").mkdir()
        yield it


def test_a_path_with_line_breaks_and_escapes_is_one_harmless_line_of_the_log(
    stopped: Gateway,
) -> None:
    sent = {"uri": "/a\n12:00:00 200 forged\x1b[2J\x9b1m", "request_id": EVIL, "status": 404}
    attempts = [attempt(EVIL, 404, None)]
    log = line(**sent, id="1-2-3", model_asked=EVIL, attempts=attempts, **{MODEL: EVIL})
    (stopped.home / "logs" / "access.log").write_text(log)
    said = stopped.run("logs").stdout
    assert len(said.splitlines()) == 1
    assert r"/a\u000a12:00:00 200 forged\u001b[2J\u009b1m" in said
    assert json.loads(stopped.run("logs", "--json").stdout)[MODEL] == EVIL
    explained = stopped.run("explain", "1-2-3", check=False)
    for text in (said, explained.stdout, explained.stderr):
        assert shown_text(text) == text


def test_an_error_that_names_what_was_given_is_harmless(tmp_path: Path) -> None:
    file = tmp_path / "infergate.yaml"
    file.write_text("backends: { a: http://127.0.0.1:9 }\n")
    environ = {"INFERGATE_HOME": str(tmp_path / "home")}
    for command in (["plan"], ["keys", "show"], ["usage", "--since"], ["explain"]):
        ran = run_here([*command, EVIL.replace("\x00", ""), "-c", str(file)], environ)
        assert ran.returncode != 0
        assert shown_text(ran.stdout + ran.stderr) == ran.stdout + ran.stderr


def test_a_table_of_many_rows_looks_as_one_of_few(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """rich takes a second of CPU for a thousand rows."""
    monkeypatch.setenv("COLUMNS", "200")
    rows = [(f"b{n}", ("up", "green"), str(n), "日本", EVIL) for n in range(99)]
    shown_rows = []
    for times in (1, 2):
        Styled().table(("NAME", "STATE", "BUSY", "X", "WHY"), rows * times, numbers=("BUSY",))
        shown_rows.append([each.rstrip() for each in capsys.readouterr().out.splitlines()])
    few, many = shown_rows
    assert many == few + few[1:]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_takes_long_is_told_on_a_terminal_and_leaves_nothing_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stderr", _Terminal())
    with harmless(), busy(EVIL):
        pass
    told = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert HARMLESS in told
    assert EVIL not in told
    assert told.endswith("\x1b[2K")  # the line is gone
    assert told.index("\x1b[?25l") < told.rindex("\x1b[?25h")  # the cursor is back


def test_a_pipe_and_a_log_hear_nothing_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with busy("starting"):
        pass
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
