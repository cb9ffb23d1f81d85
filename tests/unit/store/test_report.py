"""Usage as rows: by what it is told apart, and of whom."""

from __future__ import annotations

from infergate.store.database import Database
from infergate.store.report import by_cache, report
from infergate.store.usage import Sums, UsageGroup, add_usage


def test_usage_of_one_key_team_model_or_backend(database: Database) -> None:
    found = {
        UsageGroup("d", 0, "alice", "m", "a"): Sums(requests=1),
        UsageGroup("d", 0, "bob", "m", "a"): Sums(requests=10),
        UsageGroup("d", 0, "bob", "n", "b"): Sums(requests=100),
    }
    with database.write() as connection:
        add_usage(connection, found)
    teams = {"alice": "red", "bob": "blue"}

    def requests(by: str = "", **only: str) -> list[int]:
        rows = report(database, "d", 0, 1, by.split(",") if by else [], teams, only)
        return sorted(row["requests"] for row in rows)

    assert requests() == [111]
    assert requests(key="bob") == [110]
    assert requests(model="m") == [11]
    assert requests(backend="b") == [100]
    assert requests(team="red") == [1]
    assert requests(team="blue", model="m") == [10]
    assert requests("model", team="blue") == [10, 100]
    assert requests("team", model="m") == [1, 10]
    assert requests(team="green") == []


def test_what_was_read_anew_most_comes_first_with_its_share_of_the_caches(
    database: Database,
) -> None:
    found = {
        UsageGroup("h", 0, "chat", "m", "a"): Sums(10, prompt_tokens=10_000, cached_tokens=9_000),
        UsageGroup("h", 3600, "chat", "m", "b"): Sums(10, prompt_tokens=10_000),
        UsageGroup("h", 0, "batch", "m", "a"): Sums(1, prompt_tokens=30_000, cached_tokens=10_000),
        UsageGroup("h", 0, "sounds", "n", "c"): Sums(5),
        UsageGroup("h", 0, "batch", "m", "(cache)"): Sums(7),
    }
    with database.write() as connection:
        add_usage(connection, found)

    def shares(*by: str) -> list[tuple[object, ...]]:
        rows = by_cache(report(database, "h", 0, 7200, by, {}))
        return [(*(row[field] for field in by), row["cached_share"]) for row in rows]

    assert shares("key", "model") == [("batch", "m", 0.3333), ("chat", "m", 0.45)]
    assert shares("backend") == [("a", 0.475), ("b", 0.0)]
    assert shares("hour") == [("1970-01-01T00:00Z", 0.475), ("1970-01-01T01:00Z", 0.0)]
    assert shares() == [(0.38,)]
