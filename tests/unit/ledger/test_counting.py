"""Every line of the access log is counted once, whatever happens to the file or to us."""

from __future__ import annotations

import gzip
import shutil
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
from infergate.ledger.rotate import remove_old, rotate
from infergate.paths import Home
from infergate.store.checkpoints import CountedElsewhere, lines_counted
from infergate.store.database import Database
from infergate.store.usage import LARGEST_SUM, spent, usage_by
from tests.access_log import NO_TOKENS, in_logs, in_store, in_texts, line, line_1, told

TIMED = {"gen_ai.request.model": "timed"}
CONFIG = """
backends: { a: http://127.0.0.1:9 }
models:
  m: { backends: [a], price: { input: 0.15, output: 0.6, cached_input: 0.015 } }
  timed: { backends: [a], price: { per_request: 0.01, per_second: 0.001 } }
  free: [a]
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.logs.mkdir()
    home.run.mkdir()
    return home


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse_config(CONFIG, tmp_path / "x.yaml", {}).config


@pytest.fixture
def ledger(home: Home, config: Config, database: Database) -> Iterator[Ledger]:
    it = Ledger(home, database, lambda: config)
    yield it
    it.close()


@pytest.fixture
def dear(home: Home, tmp_path: Path, database: Database) -> Iterator[Ledger]:
    """The ledger of a gateway whose model costs as much as may be."""
    text = CONFIG.replace("input: 0.15", "input: 1000000")
    it = Ledger(home, database, lambda: parse_config(text, tmp_path / "dear.yaml", {}).config)
    yield it
    it.close()


def append(home: Home, *lines: str) -> None:
    with home.access_log.open("a") as file:
        file.write("".join(lines))


def exact(home: Home, database: Database) -> bool:
    return all(in_store(database, period) == in_logs(home.access_log) for period in ("m", "h", "d"))


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


def test_rotation_by_renaming_loses_nothing(home: Home, ledger: Ledger, database: Database) -> None:
    append(home, line(), line())
    ledger.step()
    append(home, line())
    home.access_log.rename(home.logs / "access.log.1")
    with (home.logs / "access.log.1").open("a") as late:
        late.write(line())  # by a worker that has not opened the new one yet
    append(home, line())
    ledger.step()
    with (home.logs / "access.log.1").open("a") as late:
        late.write(line())
    ledger.step()
    assert exact(home, database)
    assert in_store(database)[0] == 6


def test_rotation_while_nobody_counts_loses_nothing(
    home: Home, config: Config, open_database: Callable[[], Database]
) -> None:
    append(home, line(), line())
    Ledger(home, open_database(), lambda: config).step()
    append(home, line())
    (home.logs / "access.log").rename(home.logs / "access.log.2")
    append(home, line())
    (home.logs / "access.log").rename(home.logs / "access.log.1")
    append(home, line())
    Ledger(home, open_database(), lambda: config).step()
    assert exact(home, open_database())


def test_a_new_file_with_the_inode_of_an_old_one_is_another_file(
    home: Home, config: Config, open_database: Callable[[], Database]
) -> None:
    append(home, line(), line())
    Ledger(home, open_database(), lambda: config).step()
    longer = [line() for _ in range(5)]
    home.access_log.write_text("".join(longer))  # the same inode, and longer than before
    Ledger(home, open_database(), lambda: config).step()
    assert in_store(open_database())[0] == 7


def test_copytruncate_counts_nothing_twice(home: Home, ledger: Ledger, database: Database) -> None:
    append(home, line(), line())
    ledger.step()
    append(home, line())
    shutil.copy(home.access_log, home.logs / "access.log.1")
    ledger.step()
    home.access_log.write_text("")
    ledger.step()
    append(home, line())
    ledger.step()
    assert exact(home, database)
    assert in_store(database)[0] == 4


def test_a_log_that_is_cut_short_is_gone_on_with_at_its_end(
    home: Home, ledger: Ledger, database: Database, config: Config
) -> None:
    first = line()
    append(home, first, line(), line())
    ledger.step()
    home.access_log.write_text(first)
    assert ledger.step().lines == 0
    append(home, line())
    assert ledger.step().lines == 1
    append(home, line(), line(), line())
    ledger.close()
    assert ledger.step().lines == 3
    assert in_store(database)[0] == 7


def test_a_log_that_is_removed_is_read_to_its_end(
    home: Home, ledger: Ledger, database: Database
) -> None:
    append(home, line())
    ledger.step()
    with home.access_log.open("a") as late:
        home.access_log.unlink()
        append(home, line())
        late.write(line())
    ledger.step()
    assert in_store(database)[0] == 3


def test_compressed_logs_were_counted_before(home: Home, ledger: Ledger) -> None:
    (home.logs / "access.log.2.gz").write_bytes(gzip.compress(line().encode()))
    assert ledger.step().lines == 0


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


def test_a_large_log_is_rotated_and_removed_when_it_is_counted_and_old(
    home: Home, ledger: Ledger, database: Database
) -> None:
    append(home, line(), line())
    now = home.access_log.stat().st_mtime
    assert rotate(home, 100_000) is None
    assert rotate(home, 100) is not None
    append(home, line())
    assert remove_old(home, ledger.tail(), 3600, now + 7200) == [], "it is not counted yet"
    ledger.step()
    assert remove_old(home, ledger.tail(), 3600, now + 10) == [], "it is not old"
    assert len(remove_old(home, ledger.tail(), 3600, now + 7200)) == 1
    assert home.access_log.exists()
    assert in_store(database)[0] == 3
    assert in_texts([home.access_log.read_text()])[0] == 1


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


@pytest.mark.parametrize(
    "name",
    [
        *(
            "access.log.alice",
            "access.log.bak",
            "access.log.orig",
            "access.log~",
            "access.log.1.bak",
        ),
        *(
            "access.log.1.gz",
            "access.log.old.1",
            "access.log-alice",
            "access.log2",
            "access.log.1x",
        ),
    ],
)
def test_a_copy_of_some_lines_is_not_counted_again(
    home: Home, ledger: Ledger, database: Database, name: str
) -> None:
    lines = [line(key="alice" if number % 2 else "bob") for number in range(10)]
    append(home, *lines)
    ledger.step()
    home.access_log.with_name(name).write_text("".join(each for each in lines if "alice" in each))
    assert ledger.step().lines == 0
    assert in_store(database)[0] == 10


COPIES: dict[str, Callable[[list[str]], list[str]]] = {
    "all": lambda lines: lines,
    "the end": lambda lines: lines[4:],
    "the end, from the middle of a line": lambda lines: [lines[4][20:], *lines[5:]],
    "the beginning": lambda lines: lines[:4],
    "some": lambda lines: [each for each in lines if "alice" in each],
    "the other way round": lambda lines: lines[::-1],
    "behind an empty line": lambda lines: ["\n", *lines],
    "behind something else": lambda lines: ["copied by hand\n", *lines],
    "changed": lambda lines: [each.replace("alice", "carol") for each in lines[1:]],
    "behind a line of nobody": lambda lines: [line(), *lines],
}


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("case", COPIES)
def test_a_copy_under_a_name_that_rotation_gives_is_not_counted_again(
    home: Home,
    ledger: Ledger,
    database: Database,
    config: Config,
    open_database: Callable[[], Database],
    case: str,
    rotated: bool,
) -> None:
    """Of the log, or of a file it was rotated to; the next process passes it over, too."""
    lines = [line(key="alice" if number % 2 else "bob") for number in range(10)]
    append(home, *lines)
    ledger.step()
    if rotated:
        home.access_log.rename(home.access_log.with_name("access.log.2"))
    append(home, line())
    for name in ("access.log.1", "access.log.20261129T155500"):
        home.access_log.with_name(name).write_text("".join(COPIES[case](lines)))
        ledger.step()
        assert in_store(database)[0] == 11
    ledger.close()
    append(home, line())
    again = Ledger(home, open_database(), lambda: config)
    again.step()
    assert in_store(database)[0] == 12


def test_files_put_together_are_not_counted_again(
    home: Home, ledger: Ledger, database: Database
) -> None:
    older, newer = [line() for _ in range(3)], [line() for _ in range(3)]
    append(home, *older)
    ledger.step()
    home.access_log.rename(home.access_log.with_name("access.log.2"))
    append(home, *newer)
    ledger.step()
    home.access_log.with_name("access.log.1").write_text("".join([*older, *newer]))
    assert ledger.step().lines == 0
    assert in_store(database)[0] == 6


@pytest.mark.parametrize(
    "name",
    [
        *("access.log.20261129T155500", "access.log.1", "access.log.12", "access.log-20261129"),
        *("access.log-2026112915", "access.log-20261129-1795000000", "access.log.2026-11-29"),
    ],
)
def test_a_file_that_the_log_was_rotated_to_is_read_to_its_end(
    home: Home, ledger: Ledger, database: Database, name: str
) -> None:
    append(home, line())
    home.access_log.rename(home.access_log.with_name(name))
    append(home, line(), line())
    ledger.step()
    assert in_store(database)[0] == 3


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
