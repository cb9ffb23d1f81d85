"""A database that several gateways share, and one that cannot be used."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from infergate.paths import Home
from tests.backends.servers import scripted
from tests.databases import postgres_url, server
from tests.gateway import Gateway, gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What the control plane does beside nginx: one engine tells as much as two."""

__all__ = ["postgres_url", "server"]

CONFIG = "backends: {{ a: {{ url: {a}, engine: vllm }} }}\nmodels: {{ m: [a] }}\n"


@pytest.mark.long
def test_gateways_that_share_a_database_share_keys_usage_and_budgets(
    engine: str, start: Callable[..., Any], postgres_url: str
) -> None:
    a = start(scripted, name="a")
    config = CONFIG.format(a=a.url) + f"store: {postgres_url}\n"
    one, two = start(gateway, engine, config), start(gateway, engine, config)
    key = one.new_key("shared", "--budget", "3-requests/day")
    until(lambda: two.chat(key=key).status_code == 200)
    assert one.chat(key=key).status_code == 200
    assert one.chat(key=key).status_code == 200
    # Two here and one there: the budget is used up at both.
    until(lambda: one.chat(key=key).status_code == 429)
    until(lambda: two.chat(key=key).status_code == 429)
    assert two.chat(key=key).json()["error"]["code"] == "insufficient_quota"
    two.run("backend", "drain", "a")
    until(lambda: one.backend("a")["drained"])


@pytest.mark.long
def test_a_database_that_cannot_be_used_stops_counting_and_nothing_else(
    engine: str, start: Callable[..., Any]
) -> None:
    a = start(scripted, name="a")
    it = start(gateway, engine, CONFIG.format(a=a.url))
    home = Home(it.home)
    assert it.chat().status_code == 200
    it.run("down")
    for path in home.state.glob("store.db-*"):
        path.unlink()
    kept = home.store.read_bytes()
    home.store.write_bytes(b"this is no database" * 500)
    said = " ".join(it.run("up", "--detach").stdout.split())
    assert f"store {home.store}: cannot be used: file is not a database" in said
    assert "infergate keys restore" in said
    assert it.chat().status_code == 200

    def problem() -> str:
        status = it.status()["ledger"]
        return str(status["problem"]) if status else ""

    assert "not a database" in until(problem)
    assert str(home.store) in problem()
    assert "the ledger has stopped" in it.run("status").stdout
    assert "the ledger has stopped" in " ".join(it.run("doctor").stdout.split())
    refused = it.run("keys", "list", check=False)
    assert refused.returncode == 1
    assert "not a database" in refused.stderr
    assert "infergate keys restore" in refused.stderr
    home.store.write_bytes(kept)
    until(lambda: it.status()["ledger"]["problem"] == "")
    with sqlite3.connect(home.store) as database:
        until(
            lambda: (
                database.execute("select sum(requests) from usage where period = 'd'").fetchone()
                == (2,)
            ),
        )


@pytest.fixture(scope="module")
def kept(engine: str) -> Iterator[Gateway]:
    """A gateway that several tests take the database from."""
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        yield stack.enter_context(gateway(engine, CONFIG.format(a=a.url)))


def lose(it: Gateway) -> dict[Path, bytes]:
    """Take the database away; returns what was there."""
    files = {path: path.read_bytes() for path in Home(it.home).state.glob("store.db*")}
    for path in files:
        path.unlink()
    return files


@pytest.mark.long
def test_a_gateway_does_not_start_without_the_database_that_it_had(kept: Gateway) -> None:
    home = Home(kept.home)
    kept.run("down", check=False)
    snapshot = home.keys_snapshot.read_bytes()
    was = lose(kept)
    (home.state / "store.db.bak").write_text("an old copy")
    for damaged in (False, True):
        if damaged:
            home.store.touch()
        refused = kept.run("up", "--detach", check=False)
        assert refused.returncode == 1
        for said in (
            "there was one",
            "infergate keys restore",
            "store.db.bak",
            str(home.revisions),
        ):
            assert said in refused.stderr
        assert home.keys_snapshot.read_bytes() == snapshot
        assert home.store.exists() == damaged
    for path, content in was.items():
        path.write_bytes(content)
    kept.run("up", "--detach")
    assert kept.chat().status_code == 200


def test_a_database_lost_while_the_gateway_runs_ends_no_key(kept: Gateway) -> None:
    kept.run("up", "--detach", check=False)
    was = lose(kept)
    for command in (("keys", "create", "new"), ("keys", "list"), ("apply",)):
        assert "there was one" in kept.run(*command, check=False).stderr
    assert not Home(kept.home).store.exists()
    until(lambda: "there was one" in (kept.status()["ledger"] or {"problem": ""})["problem"])
    assert kept.chat().status_code == 200
    for path, content in was.items():
        path.write_bytes(content)
    until(lambda: kept.status()["ledger"]["problem"] == "")
    assert kept.chat(key=kept.new_key("again")).status_code == 200


@pytest.mark.long
def test_a_copy_without_its_wal_file_is_refused(kept: Gateway) -> None:
    kept.run("up", "--detach", check=False)
    home = Home(kept.home)
    older = home.store.read_bytes()
    with sqlite3.connect(home.store) as database:  # open, so that nothing is merged into it
        late = kept.new_key("late")
        kept.run("down", "--now")
        assert database.execute("select count(*) from keys").fetchone()[0] > 0
        lose(kept)
    home.store.write_bytes(older)
    refused = kept.run("up", "--detach", check=False)
    assert refused.returncode == 1
    assert "older copy" in refused.stderr or "there was one" in refused.stderr
    kept.run("keys", "restore")
    kept.run("up", "--detach")
    assert kept.chat(key=late).status_code == 200


@pytest.mark.long
def test_restored_keys_may_what_they_might(kept: Gateway) -> None:
    kept.run("up", "--detach", check=False)
    home = Home(kept.home)
    kept.run("teams", "create", "crew", check=False)
    options = ["--models", "m,other-*", "--rpm", "1000", "--max-tokens", "77", "--priority", "high"]
    options += ["--deny-ip", "10.0.0.0/8", "--team", "crew", "--expires", "30d"]
    limited = kept.new_key("limited", *options)
    plain, gone = kept.new_key("plain"), kept.new_key("gone")
    name = next(k["name"] for k in keys_of(kept) if k["name"].startswith("gone"))
    kept.run("keys", "revoke", name)
    kept.run("down", "--now")
    before = json.loads(home.keys_snapshot.read_text())["keys"]["set"]
    lose(kept)
    assert "restored" in kept.run("keys", "restore").stdout
    kept.run("up", "--detach")
    after = json.loads(home.keys_snapshot.read_text())["keys"]["set"]
    assert {h: without_identity(e) for h, e in after.items()} == {
        h: without_identity(e) for h, e in before.items()
    }
    assert kept.chat(key=limited).status_code == kept.chat(key=plain).status_code == 200
    assert kept.chat(key=gone).status_code == 401


def keys_of(it: Gateway) -> list[dict[str, Any]]:
    return list(json.loads(it.run("keys", "list", "--json").stdout))


def without_identity(compiled: str) -> list[str]:
    """All that njs reads of a key, but whom it shares kept answers with."""
    return [line for line in compiled.split("\n") if not line.startswith("k ")]
