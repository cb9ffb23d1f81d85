"""Logs that are rotated, copied, cut or compressed are counted once all the same."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable

import pytest

from infergate.config.root import Config
from infergate.ledger.ledger import Ledger
from infergate.ledger.rotate import remove_old, rotate
from infergate.paths import Home
from infergate.store.database import Database
from tests.access_log import in_store, in_texts, line
from tests.unit.ledger.counting import append, exact


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
