"""A database that several gateways share, and one that cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from infergate.paths import Home
from tests.backends.servers import scripted
from tests.databases import postgres_url, server
from tests.gateway import gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What the control plane does beside nginx: one engine tells as much as two."""

__all__ = ["postgres_url", "server"]

CONFIG = "backends: {{ a: {{ url: {a}, engine: vllm }} }}\nmodels: {{ m: [a] }}\n"


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
    it.run("up", "--detach")
    assert it.chat().status_code == 200

    def problem() -> str:
        status = it.status()["ledger"]
        return str(status["problem"]) if status else ""

    assert "not a database" in until(problem)
    assert str(home.store) in problem()
    assert "the ledger has stopped" in it.run("status").stdout
    assert "the ledger has stopped" in it.run("doctor").stdout
    refused = it.run("keys", "list", check=False)
    assert refused.returncode == 1
    assert "not a database" in refused.stderr
    home.store.write_bytes(kept)
    until(lambda: it.status()["ledger"]["problem"] == "")
    with sqlite3.connect(home.store) as database:
        until(
            lambda: (
                database.execute("select sum(requests) from usage where period = 'd'").fetchone()
                == (2,)
            ),
        )
