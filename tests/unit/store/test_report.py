"""Usage as rows: by what it is told apart, and of whom."""

from __future__ import annotations

from infergate.store.database import Database
from infergate.store.report import report
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
