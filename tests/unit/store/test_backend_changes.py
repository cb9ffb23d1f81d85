"""What operators changed of backends is kept, written down and undone as one."""

from __future__ import annotations

from infergate.store.audit import entries
from infergate.store.backend_changes import all_changes, forget, forget_added, reset, set_change
from infergate.store.database import Database
from infergate.store.drained import drain, drained_backends

ONE, NINE = {"weight": 1}, {"weight": 9}


def test_a_change_takes_the_place_of_an_earlier_one_and_knows_what_the_file_said(
    database: Database,
) -> None:
    set_change(database, "a", "weight", {"weight": 5}, ONE, ONE)
    set_change(database, "a", "weight", NINE, ONE, {"weight": 5})
    set_change(database, "b", "add", {"url": "http://x"}, None, None)
    kept = {(each.backend, each.what): each for each in all_changes(database)}
    assert kept["a", "weight"].value == NINE
    assert kept["a", "weight"].instead_of == ONE
    assert kept["b", "add"].instead_of is None
    written = [(each.action, each.before, each.after) for each in entries(database)]
    assert written == [
        ("backend.weight", ONE, {"weight": 5}),
        ("backend.weight", {"weight": 5}, NINE),
        ("backend.add", None, {"url": "http://x"}),
    ]


def test_what_the_file_says_anyway_is_no_change(database: Database) -> None:
    set_change(database, "a", "weight", NINE, ONE, ONE)
    set_change(database, "a", "weight", ONE, ONE, NINE)
    assert all_changes(database) == ()
    assert [each.action for each in entries(database)] == ["backend.weight"] * 2


def test_a_reset_undoes_all_of_one_backend_and_a_drain(database: Database) -> None:
    for name in ("a", "b"):
        set_change(database, name, "weight", NINE, ONE, ONE)
        set_change(database, name, "remove", {}, {"url": "http://x"}, None)
        drain(database, name)
    assert {each.what for each in reset(database, "a")} == {"weight", "remove"}
    assert {each.backend for each in all_changes(database)} == {"b"}
    assert set(drained_backends(database)) == {"b"}
    count = len(entries(database))
    assert reset(database, "a") == ()
    assert len(entries(database)) == count, "nothing happened"


def test_an_added_backend_that_is_removed_leaves_nothing(database: Database) -> None:
    set_change(database, "c", "add", {"url": "http://x"}, None, None)
    set_change(database, "c", "weight", NINE, None, ONE)
    drain(database, "c")
    forget_added(database, "c", {"url": "http://x"})
    assert all_changes(database) == ()
    assert drained_backends(database) == {}


def test_a_change_that_ended_is_written_down_once(database: Database) -> None:
    set_change(database, "a", "weight", NINE, ONE, ONE)
    (change,) = all_changes(database)
    forget(database, change)
    forget(database, change)
    assert [each.action for each in entries(database)] == ["backend.weight", "backend.weight.end"]
