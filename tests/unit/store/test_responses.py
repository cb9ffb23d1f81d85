"""What is kept of responses is bounded, and goes when its time is over."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import insert, update

from infergate.store.database import Database
from infergate.store.responses import (
    ChainBroken,
    ChainTooLong,
    StoredResponse,
    add_response,
    begin_response,
    earlier,
    end_response,
    find_response,
    forget_old_responses,
    go_on_from,
    open_responses,
    owner_of,
)
from infergate.store.tables import keys, responses, secrets


def one(id_: str, *, owner: str = "k", status: str = "completed", **more: Any) -> StoredResponse:
    document = {"id": id_, "status": status, "background": status != "completed", "output": []}
    items = [{"role": "user", "content": "x" * 100}]
    values = {"previous": None, "created_at": 1, "document": document, "items": items, **more}
    return StoredResponse(id_, "n", owner, "e", "127.0.0.1", **values)


def add(database: Database, *made: StoredResponse, **bounds: int) -> list[bool]:
    bounds = {"most": 100, "most_bytes": 10**6, **bounds}
    return [add_response(database, each, **bounds) for each in made]


def ids(database: Database) -> list[str]:
    with database.read() as connection:
        query = responses.select().order_by(responses.c.number)
        return [row.id for row in connection.execute(query).all()]


def test_what_is_read_is_what_was_kept(database: Database) -> None:
    made = one("a", asked={"model": "m\x00☃"}, events="data: {}\n\n", attempts=2, previous="z")
    add(database, made)
    assert find_response(database, "a", "k") == made
    assert find_response(database, "a", "other") is None


def test_the_oldest_goes_for_a_new_one_and_what_goes_on_stays(database: Database) -> None:
    add(database, one("goes on", status="queued", used_at=1), one("other's", owner="o", used_at=1))
    add(database, *(one(f"{n}", used_at=10 + n) for n in range(4)), most=4)
    assert ids(database) == ["goes on", "other's", "1", "2", "3"]
    go_on_from(database, "1", "k", 10**6)  # it is the newest now
    add(database, one("4", used_at=20), most=4)
    assert ids(database) == ["goes on", "other's", "1", "3", "4"]


def test_bytes_are_counted_too(database: Database) -> None:
    size = one("0").bytes
    add(database, *(one(f"{n}", used_at=n) for n in range(9)), most_bytes=3 * size)
    assert ids(database) == ["6", "7", "8"]


def test_so_many_of_an_owner_go_on(database: Database) -> None:
    made = [one(f"{n}", status="queued") for n in range(3)]
    assert add(database, *made, most_open=2) == [True, True, False]
    assert add(database, one("o", owner="o", status="queued"), most_open=2) == [True]
    assert end_response(database, "0", {**made[0].document, "status": "completed"})
    assert add(database, made[2], most_open=2) == [True]


def test_a_conversation_is_there_whole_or_not_at_all(database: Database) -> None:
    chain = [one("a"), one("b", previous="a"), one("c", previous="b")]
    add(database, *chain, one("d", previous="a", owner="o"))
    found = go_on_from(database, "c", "k", 10**6)
    assert [each.id for each in found] == ["a", "b", "c"]
    with pytest.raises(ChainTooLong):
        go_on_from(database, "c", "k", sum(each.bytes for each in chain) - 1)
    for id_, owner, missing in (("d", "o", "a"), ("none", "k", "none"), ("c", "o", "c")):
        with pytest.raises(ChainBroken) as broken:
            go_on_from(database, id_, owner, 10**6)
        assert broken.value.missing == missing
    assert [each.id for each in earlier(database, chain[1])] == ["a", "b"]


def test_one_ends_once(database: Database) -> None:
    made = one("a", status="queued", asked={"model": "m"})
    add(database, made)
    assert begin_response(database, "a")
    (found,) = open_responses(database, "n")
    assert (found.status, found.attempts, found.asked) == ("in_progress", 1, {"model": "m"})
    assert end_response(database, "a", {**made.document, "status": "cancelled"})
    assert not end_response(database, "a", {**made.document, "status": "completed"})
    assert not begin_response(database, "a")
    ended = find_response(database, "a", "k")
    assert ended is not None
    assert (ended.status, ended.asked) == ("cancelled", None)


def test_what_is_old_goes_unless_it_was_gone_on_with(database: Database) -> None:
    add(database, one("old", used_at=5), one("chained", used_at=5), one("new", previous="chained"))
    add(database, one("goes on", status="queued", used_at=5))
    go_on_from(database, "new", "k", 10**6)
    assert forget_old_responses(database, before=int(time.time()) - 60) == 1
    assert ids(database) == ["chained", "new", "goes on"]


def test_an_owner_is_a_key_and_not_its_name(database: Database) -> None:
    with database.write() as connection:
        for id_, revoked in (("id1", 9), ("id2", None)):
            row = {
                "id": id_,
                "name": "bob",
                "allowed": "{}",
                "created_at": 1,
                "revoked_at": revoked,
            }
            connection.execute(insert(keys).values(row))
        for digest, key in (("a", "id1"), ("b", "id2"), ("c", "id2")):
            row = {"hash": digest, "key": key, "prefix": "p", "created_at": 1}
            connection.execute(insert(secrets).values(row))
    assert [owner_of(database, each) for each in "abcd"] == ["id1", "id2", "id2", "d"]


def test_what_a_revoked_key_had_goes(database: Database) -> None:
    with database.write() as connection:
        row = {"id": "k", "name": "bob", "allowed": "{}", "created_at": 1}
        connection.execute(insert(keys).values(row))
    add(database, one("a"), one("other's", owner="o"))
    assert forget_old_responses(database, before=0) == 0
    with database.write() as connection:
        connection.execute(update(keys).values(revoked_at=5))
    assert forget_old_responses(database, before=0) == 1
    assert ids(database) == ["other's"]
