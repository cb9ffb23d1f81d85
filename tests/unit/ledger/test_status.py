"""A ledger that has stopped can still say so, and old usage is forgotten with care."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from infergate.cli.ledger import COUNTING, ledger_in_words
from infergate.config.usage import Keep
from infergate.ledger import retention
from infergate.ledger.killed import KilledWorkers
from infergate.ledger.retention import Clock, forget_old
from infergate.ledger.status import LedgerStatus, read_status, write_status
from infergate.store.database import Database
from infergate.store.usage import UsageGroup, add_usage, usage_by


def test_the_status_is_written_over_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    assert read_status(path) is None
    write_status(path, LedgerStatus(at=1, problem="x" * 5000))
    facts = path.stat()
    status = LedgerStatus(at=2.5, problem="full", hint="Free some.", since=1, behind_bytes=7)
    write_status(path, status)
    assert read_status(path) == status
    assert (path.stat().st_ino, path.stat().st_size) == (facts.st_ino, facts.st_size)


def _words(status: LedgerStatus, *, alive: bool = True) -> str:
    return " ".join(ledger_in_words(status, 1000, alive=alive))


def test_what_is_said_of_the_ledger() -> None:
    assert _words(LedgerStatus(at=999)) == COUNTING
    stopped = LedgerStatus(at=999, problem="disk is full", hint="Free some.", since=940)
    assert "stopped 1 min 0 s ago" in _words(stopped)
    assert "disk is full Free some." in _words(stopped)
    assert "catching up" in _words(LedgerStatus(at=999, behind_bytes=2**30))
    assert "nothing was heard of" in _words(LedgerStatus(at=900))
    assert "does not run" in _words(LedgerStatus(at=999), alive=False)
    assert "3 lines" in _words(LedgerStatus(at=999, unreadable=3))
    assert "a worker of nginx died" in _words(LedgerStatus(at=999, killed_workers=1))


def test_workers_that_were_killed_are_counted_from_the_error_log(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    line = "2026/11/29 16:36:31 [alert] 1#1: worker process 7 exited on signal 9\n"
    assert KilledWorkers(path).more() == 0
    path.write_text(line)
    killed = KilledWorkers(path)
    assert killed.more() == 0, "it was before"
    with path.open("a") as file:
        file.write(line + "2026/11/29 16:36:31 [notice] 1#1: worker process 8 exited with code 0\n")
        file.write(line[:40])
        file.flush()
        assert killed.more() == 1
        file.write(line[40:])
    assert [killed.more(), killed.more()] == [1, 0]
    with path.open("a") as file:
        refused = "[error] 5#5: *3 connect() failed (111: Connection refused), client: 127.0.0.1"
        file.write(f'2026/11/29 16:36:31 {refused}, referrer: "{line.strip()}"\n')
    assert killed.more() == 0, "a client says so"
    path.rename(tmp_path / "error.log.1")
    path.write_text(line)
    assert killed.more() == 1


def test_usage_is_forgotten_by_the_time_it_is_kept(database: Database) -> None:
    now = 1_795_000_000
    with database.write() as connection:
        add_usage(
            connection,
            {
                UsageGroup(period, now - age * 86400, "ci", "m", "a"): [1] * 8
                for period in ("m", "h", "d")
                for age in (1, 50, 400)
            },
        )
    assert forget_old(database, Keep.model_validate({"days": "365d"}), "node", (), now) == 4
    left = {
        period: sum(sums.requests for _, sums in usage_by(database, period, 0, 2**40, []))
        for period in ("m", "h", "d")
    }
    assert left == {"m": 1, "h": 2, "d": 2}


def test_a_clock_that_jumped_is_not_trusted_to_forget_by(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    assert not clock.is_trusted(), "not at once"
    monkeypatch.setattr(retention, "TRUSTED_AFTER_S", 0.0)
    assert clock.is_trusted()
    monkeypatch.setattr(retention, "TRUSTED_AFTER_S", 0.5)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 365 * 86400)
    assert not clock.is_trusted()
