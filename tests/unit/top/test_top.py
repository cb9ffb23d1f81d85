"""`infergate top`: what it shows, at which width, and what the screen does with keys and sizes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from infergate.admin.live import LiveNow
from infergate.admin.operation import Operation
from infergate.admin.status_document import BackendState, Status
from infergate.cli.top.frame import Line, View, frame
from infergate.cli.top.seen import Observer
from infergate.errors import InfergateError
from tests.access_log import line
from tests.admin_api import Served, served
from tests.gateway import run_here

NOW = 1_800_000_000.0
EVIL = "a\x1b[31mred\x07[bold]日本語"


def backend(name: str, **said: Any) -> BackendState:
    usual = {
        "state": "up", "reason": "", "since": NOW, "models": ["m"], "latency_ms": 1.0,
        "waiting": None, "kv_cache_use": None, "generation_tokens": None, "in_flight": 0,
    }  # fmt: skip
    return BackendState.model_construct(name=name, **{**usual, **said})


def status(*backends: BackendState, **said: Any) -> Status:
    usual = {"running": True, "url": "http://127.0.0.1:8080", "revision": 3}
    return Status.model_construct(backends=list(backends), **{**usual, **said})


def model(name: str, **said: Any) -> dict[str, Any]:
    usual = {
        "requests_per_s": 1.0, "tokens_per_s": 10.0, "first_byte_p95_s": 0.2, "requests": 60,
        "errors": 0, "waiting": 0,
    }  # fmt: skip
    return {"model": name, **usual, **said}


def request(key: str, **said: Any) -> dict[str, Any]:
    usual = {"ts": NOW - 5, "status": 200, "gen_ai.usage.output_tokens": 7}
    return {"key": key, **usual, **said}


def live(*models: dict[str, Any], **said: Any) -> LiveNow:
    usual = {
        "at": NOW, "since": NOW - 3600, "running": True, "waiting": 0, "in_flight": {},
        "minutes": [], "requests": [], "next": 0,
    }  # fmt: skip
    return LiveNow.model_validate({**usual, "models": list(models), **said})


class Told:
    """A gateway that says this, or cannot be reached while `problem` says why."""

    def __init__(self, now: Status, *lives: LiveNow) -> None:
        self.now, self.lives, self.asked = now, list(lives), 0
        self.problem = ""
        self.after: list[int] = []

    def run(self, operation: Operation[Any, Any], **named: Any) -> Any:
        if self.problem:
            raise InfergateError(self.problem)
        if operation.name == "status":
            return self.now
        self.after.append(named["after"])
        self.asked += 1
        return self.lives[min(self.asked, len(self.lives)) - 1]


def observed(now: Status, *lives: LiveNow) -> Observer:
    told = Told(now, *lives)
    observer = Observer(lambda: told)  # type: ignore[arg-type, return-value]
    for _ in lives:
        observer.ask()
    return observer


def text(lines: list[Line]) -> list[str]:
    return ["".join(each if isinstance(each, str) else each[0] for each in one) for one in lines]


def drawn(
    observer: Observer, view: View | None = None, width: int = 80, height: int | None = None
) -> list[str]:
    return text(frame(observer.seen, view or View(), width, height, NOW + 30))


@pytest.mark.parametrize("width", [1, 20, 40, 80, 200])
@pytest.mark.parametrize("height", [1, 5, 24, None])
def test_no_line_is_wider_than_the_terminal_and_none_too_many(
    width: int, height: int | None
) -> None:
    backends = [backend(f"{EVIL}{at}" * 3, reason=EVIL * 9, state="down") for at in range(50)]
    observer = observed(
        status(*backends),
        live(*(model(EVIL * 9 + str(at)) for at in range(50)), requests=[request(EVIL * 4)]),
    )
    lines = drawn(observer, width=width, height=height)
    assert max(cell_len(each) for each in lines) <= width
    assert height is None or len(lines) == height
    assert not re.search(r"[\x00-\x1f\x7f]", "".join(lines))


def test_what_is_wrong_comes_first_and_the_busy_before_the_idle() -> None:
    observer = observed(
        status(
            backend("idle"),
            backend("busy", in_flight=7),
            backend("broken", state="down", reason="connection refused"),
        ),
        live(model("seldom", requests_per_s=0.1), model("often", requests_per_s=9.0)),
    )
    said = "\n".join(drawn(observer))
    assert said.index("often") < said.index("seldom")
    assert said.index("broken") < said.index("busy") < said.index("idle")
    assert "connection refused" in said
    assert "2 of 3 backends" in said
    by_name = "\n".join(drawn(observer, View(sort="name")))
    assert by_name.index("busy ") < by_name.index("idle ")


def test_each_part_gets_what_it_needs_or_a_fair_share_of_a_small_terminal() -> None:
    observer = observed(
        status(*(backend(f"b{at:04}", in_flight=1000 - at) for at in range(1000))),
        live(model("m"), requests=[request("alice")]),
    )
    lines = drawn(observer, height=24)
    assert [each for each in lines if each.startswith("m ")]
    assert [each for each in lines if each.startswith("alice ")]
    shown = [each for each in lines if each.startswith("b0")]
    assert len(shown) >= 10
    assert [each for each in lines if each.startswith(f"BACKEND 1-{len(shown)}/1000")]
    (only,) = [each for each in drawn(observer, View(part="backends", skip=995), height=24)
               if each.startswith("BACKEND")]  # fmt: skip
    assert re.match(r"BACKEND 9\d\d-1000/1000", only)


def test_keys_are_counted_over_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    first = live(
        next=3,
        requests=[request("alice", status=429), request("alice"), request("bob", ts=NOW - 55)],
    )
    later = live(at=NOW + 10, next=4, requests=[request("alice", ts=NOW + 9)])
    observer = observed(status(), first, later)
    assert {name: vars(each) for name, each in observer.seen.keys.items()} == {
        "alice": {"requests": 3, "tokens": 21, "errors": 1}
    }
    assert observer.seen.missed is False
    assert observed(status(), first, live(next=900)).seen.missed is True


def test_tokens_of_a_backend_are_those_between_two_looks() -> None:
    told = Told(status(backend("a", generation_tokens=100)), live())
    observer = Observer(lambda: told)  # type: ignore[arg-type, return-value]
    observer.ask()
    assert observer.seen.tokens_per_s == {}
    told.now = status(backend("a", generation_tokens=300))
    observer.ask()
    assert observer.seen.tokens_per_s["a"] > 0
    told.now = status(backend("a", generation_tokens=5))  # it was started anew
    observer.ask()
    assert observer.seen.tokens_per_s == {}


def test_a_gateway_that_goes_away_leaves_its_last_numbers_and_comes_back() -> None:
    told = Told(status(backend("a", in_flight=3)), live(model("m"), next=5))
    observer = Observer(lambda: told)  # type: ignore[arg-type, return-value]
    observer.ask()
    told.problem = "the admin API cannot be reached"
    observer.ask()
    observer.seen.since = NOW
    said = drawn(observer)
    assert "not heard of for 30 s: the admin API cannot be reached" in said[1]
    assert [each for each in said if each.startswith("a ")]
    told.problem = ""
    observer.ask()
    assert not observer.seen.problem
    assert "1 of 1 backends" in drawn(observer)[1]
    assert told.after == [0, 5]


def test_a_gateway_that_does_not_run_is_told() -> None:
    observer = observed(status(running=False, revision=None), live(running=False))
    assert "`infergate up` starts it" in drawn(observer)[1]


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as it:
        lines = [line(ts=time.time() - 1, key="alice", uri="/v1/chat/completions")] * 3
        it.gateway.home.access_log.write_text("".join(f"{each}\n" for each in lines))
        yield it


def test_once_prints_one_picture_and_json_says_the_same(api: Served) -> None:
    environ = {"INFERGATE_TOKEN": api.read, "COLUMNS": "80"}
    ran = run_here(["--url", api.url, "top", "--once"], environ)
    assert ran.returncode == 0, ran.stderr
    assert "MODEL" in ran.stdout
    assert re.search(r"(?m)^alice +\d", ran.stdout)
    assert "\x1b" not in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80
    said = json.loads(run_here(["--url", api.url, "top", "--json"], environ).stdout)
    assert said["keys"]["alice"]["requests"] >= 1
    assert said["backends"] == []


def test_the_gateway_of_this_machine_is_asked_without_its_api(api: Served) -> None:
    root = api.gateway.home.root
    ran = run_here(
        ["top", "--once", "-c", str(root / "infergate.yaml")], {"INFERGATE_HOME": str(root)}
    )
    assert (ran.returncode, "`infergate up` starts it" in ran.stdout) == (0, True)
    assert re.search(r"(?m)^alice +\d", ran.stdout)


def test_a_gateway_that_cannot_be_reached_is_an_error() -> None:
    ran = run_here(["--url", "http://127.0.0.1:1", "top", "--once"], {"INFERGATE_TOKEN": "x"})
    assert (ran.returncode, "cannot be reached" in ran.stderr) == (1, True)


class Terminal:
    """A pseudo terminal with a `top` in it."""

    def __init__(self, url: str, token: str) -> None:
        self._ours, theirs = pty.openpty()
        self._theirs = theirs
        self.size(80, 24)
        self.before = termios.tcgetattr(theirs)
        self.output = ""
        environ = {**os.environ, "INFERGATE_TOKEN": token, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environ.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infergate", "--url", url, "top", "--every", "200ms"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True,
        )  # fmt: skip

    def size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "_process"):
            os.kill(self._process.pid, 28)  # SIGWINCH: it has no controlling terminal

    def until(self, condition: Callable[[str], Any], timeout_s: float = 60) -> str:
        """What came since the last call, once the condition holds for it."""
        deadline, came = time.monotonic() + timeout_s, ""
        while not condition(came):
            assert time.monotonic() < deadline, repr(came[-2000:])
            if select.select([self._ours], [], [], 0.1)[0]:
                came += os.read(self._ours, 65536).decode(errors="replace")
        self.output += came
        return came

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Its exit code; what it wrote last is in `output`."""
        while self._process.poll() is None:
            if select.select([self._ours], [], [], 0.1)[0]:
                self.output += os.read(self._ours, 65536).decode(errors="replace")
        while select.select([self._ours], [], [], 0)[0]:
            self.output += os.read(self._ours, 65536).decode(errors="replace")
        return self._process.returncode

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal(api: Served) -> Iterator[Terminal]:
    found = Terminal(api.url, api.read)
    yield found
    found.close()


def test_a_terminal_is_drawn_over_without_a_flicker_and_left_as_it_was(
    terminal: Terminal,
) -> None:
    terminal.until(lambda came: "alice" in came and "s busy" in came)
    terminal.type("s")
    terminal.until(lambda came: "s errors" in came)
    terminal.type("\t")
    terminal.until(lambda came: "tab models" in came)
    terminal.size(50, 12)
    terminal.until(lambda came: "\r\n" + " " * 50 + "\r\n" in came)
    terminal.type("p")
    terminal.until(lambda came: "p go on" in came)
    terminal.type("q")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.output
    assert "\x1b[?1049h" in terminal.output  # a screen of its own, which goes at the end
    assert terminal.output.rstrip().endswith(("\x1b[?1049l", "\x1b[?25h"))
    # Cleared, it would be empty for a moment with each picture.
    assert terminal.output.count("\x1b[2J") <= 1
    assert terminal.settings() == terminal.before
