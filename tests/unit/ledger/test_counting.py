"""Every line of the access log is counted once, whatever happens to the file or to us."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.errors import StateError
from infergate.ledger import ledger as ledger_module
from infergate.ledger import tail
from infergate.ledger.ledger import Ledger
from infergate.ledger.retention import forget_old
from infergate.paths import Home
from infergate.store.checkpoints import CountedElsewhere, lines_counted
from infergate.store.database import Database
from infergate.store.usage import LARGEST_SUM, spent, usage_by
from tests.access_log import NO_TOKENS, in_store, line, line_1, told
from tests.unit.ledger.counting import CONFIG, append, exact

TIMED = {"gen_ai.request.model": "timed"}


@pytest.fixture
def dear(home: Home, tmp_path: Path, database: Database) -> Iterator[Ledger]:
    """The ledger of a gateway whose model costs as much as may be."""
    text = CONFIG.replace("input: 0.15", "input: 1000000")
    it = Ledger(home, database, lambda: parse_config(text, tmp_path / "dear.yaml", {}).config)
    yield it
    it.close()


def test_requests_and_tokens_by_minute_hour_and_day(
    home: Home, ledger: Ledger, database: Database
) -> None:
    start = 1_795_000_020  # a minute's first second; 58 minutes past an hour
    append(
        home,
        line(ts=start),
        line(ts=start + 59),
        line(ts=start + 60, key="other", status=500, **NO_TOKENS),
        line(ts=start + 7200),
    )
    assert ledger.step().lines == 4
    groups = {
        period: [
            (*group, sums.requests)
            for group, sums in usage_by(database, period, 0, 2**40, ["start", "key"])
        ]
        for period in ("m", "h", "d")
    }
    assert [(key, count) for _, key, count in groups["m"]] == [("ci", 2), ("other", 1), ("ci", 1)]
    assert [at for at, _, _ in groups["m"]] == [start, start + 60, start + 7200]
    assert all(at % 3600 == 0 for at, _, _ in groups["h"])
    assert all(at % 86400 == 0 for at, _, _ in groups["d"])
    assert exact(home, database)


def test_lines_of_before_an_upgrade_and_of_after_it_count_in_one_file(
    home: Home, ledger: Ledger, database: Database
) -> None:
    append(home, line_1(), line_1(tokens=None), line(), line_1(tokens=[1, 1, 1, 1]), line())
    step = ledger.step()
    assert (step.lines, step.unreadable) == (5, 0)
    assert in_store(database) == (5, 22, 16, 7)


def test_money_is_exact(home: Home, ledger: Ledger, database: Database) -> None:
    append(home, *(line(**told(1_000_000, 500_000, 400_000)) for _ in range(3)))
    append(home, line(**{"gen_ai.request.model": "free"}), line(**told(1, 0, 0)))
    ledger.step()
    costs = {model: sums.cost for (model,), sums in usage_by(database, "d", 0, 2**40, ["model"])}
    # 600,000 × 0.15 + 400,000 × 0.015 + 500,000 × 0.6 a million, three times, and one token.
    assert costs == {"m": 3 * 396_000_000 + 150, "free": 0}


def test_a_step_that_has_nothing_new_changes_nothing(
    home: Home, ledger: Ledger, database: Database
) -> None:
    assert ledger.step().lines == 0  # there is no log yet
    append(home, line())
    assert [ledger.step().lines for _ in range(3)] == [1, 0, 0]


def test_a_line_is_counted_when_it_is_whole(home: Home, ledger: Ledger, database: Database) -> None:
    append(home, line(), line()[:50])
    assert ledger.step().lines == 1
    append(home, line()[50:])
    assert ledger.step().lines == 1
    assert in_store(database) == (2, 14, 10, 4)


def test_the_next_process_goes_on_where_the_last_one_stopped(
    home: Home, config: Config, open_database: Callable[[], Database]
) -> None:
    for number in range(5):
        append(home, *(line() for _ in range(number)))
        assert Ledger(home, open_database(), lambda: config).step().lines == number
    assert exact(home, open_database())


def test_a_log_that_was_quiet_for_months_is_not_counted_anew(
    home: Home, config: Config, open_database: Callable[[], Database]
) -> None:
    append(home, line())
    ledger = Ledger(home, open_database(), lambda: config)
    ledger.step()
    later = time.time() + 200 * 86400
    for present, lines in ((ledger.tail().present(), 0), ((), 1)):
        forget_old(open_database(), config.usage.keep, ledger.node, present, later)
        assert Ledger(home, open_database(), lambda: config).step().lines == lines


def test_two_ledgers_at_once_count_everything_once(
    home: Home, config: Config, open_database: Callable[[], Database]
) -> None:
    first, second = (Ledger(home, open_database(), lambda: config) for _ in range(2))
    append(home, line())
    first.step()
    second.step()
    append(home, line(), line())
    assert first.step().lines == 2
    with pytest.raises(CountedElsewhere):
        second.step()
    assert second.step().lines == 0
    append(home, line())
    assert second.step().lines == 1
    assert exact(home, open_database())


def test_lines_that_are_no_requests_are_told_and_passed_over(
    home: Home, ledger: Ledger, database: Database
) -> None:
    append(home, line(), "\0" * 4096 + "\n", "nonsense\n", line()[:80] + line())
    step = ledger.step()
    assert (step.lines, step.unreadable) == (4, 2)
    assert lines_counted(database) == (4, 2)
    assert in_store(database)[0] == 2


def test_bytes_that_are_no_utf_8_do_not_stop_counting(
    home: Home, ledger: Ledger, database: Database
) -> None:
    raw = line(user_agent="?").encode().replace(b'"?"', b'"\xff\xfe"')
    home.access_log.write_bytes(raw)
    assert ledger.step().unreadable == 0
    assert in_store(database)[0] == 1


def test_a_log_larger_than_a_block_is_counted_in_pieces(
    home: Home, ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "BLOCK_BYTES", 2000)
    append(home, *(line() for _ in range(50)))
    while ledger.step().lines:
        pass
    assert exact(home, database)


def test_a_clock_that_jumps_changes_no_count(
    home: Home, ledger: Ledger, database: Database
) -> None:
    append(home, *(line(ts=ts) for ts in (0, 4_000_000_000.5, 1_795_000_000, 86_399.999)))
    ledger.step()
    assert exact(home, database)


def test_what_the_database_refuses_is_counted_later(
    home: Home, ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(home, line())
    ledger.step()
    append(home, line(), line())
    with monkeypatch.context() as broken:

        def refuse(*_: object) -> None:
            raise StateError("cannot be used: database or disk is full")

        broken.setattr(ledger_module, "add_usage", refuse)
        with pytest.raises(StateError):
            ledger.step()
    assert in_store(database)[0] == 1
    ledger.step()
    assert exact(home, database)


def test_lines_that_cannot_be_stored_are_passed_over_and_counting_goes_on(
    home: Home, ledger: Ledger, database: Database
) -> None:
    """Also those that stand in a log from before: the next start goes on behind them."""
    for number in (1e308, 10**19, -7, "x"):
        append(home, line(**told(number, 0, 0)), line(**told(0, number, 0)))
    append(home, line(), line())
    step = ledger.step()
    assert (step.lines, step.unreadable) == (10, 8)
    assert in_store(database) == (2, 14, 10, 4)
    assert ledger.step().lines == 0


def test_sums_that_no_column_holds_stop_nothing(
    home: Home, dear: Ledger, database: Database
) -> None:
    for minute in range(3):
        append(home, *(line(ts=60 * minute, **told(2**40, 0, 0)) for _ in range(9)))
        assert dear.step().unreadable == 0
    sums = usage_by(database, "m", 0, 2**40, [])[0][1]
    assert (sums.requests, sums.cost) == (27, 3 * LARGEST_SUM)
    assert usage_by(database, "d", 0, 2**40, [])[0][1].cost == LARGEST_SUM
    with database.read() as connection:
        assert spent(connection, "m", 0, ["ci"])["ci"].cost == 3 * LARGEST_SUM


def test_requests_and_their_time_cost_what_they_cost_if_they_were_answered(
    home: Home, ledger: Ledger, database: Database
) -> None:
    """Not what was refused or failed, nor a kept answer, nor the time in the queue."""
    home.access_log.write_text(
        line(**TIMED, request_time=2.5, queue_ms=500)
        + line(**TIMED, request_time=1.0, **NO_TOKENS)
        + line(**TIMED, request_time=9.0, status=503)
        + line(**TIMED, request_time=9.0, status=499, completed=False)
        + line(**TIMED, request_time=9.0, cache="HIT")
        + line(**TIMED, request_time=9.0, backend="", status=429)
    )
    ledger.step()
    ((_, sums),) = usage_by(database, "d", 0, 2**40, [])
    assert (sums.requests, sums.cost) == (6, 2 * 10_000_000 + 3 * 1_000_000)
