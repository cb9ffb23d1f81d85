"""Two hundred times kill -9 of the ledger under load, on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from tests.databases import postgres_url, server, store_line
from tests.unit.ledger.test_crashes import campaign

__all__ = ["postgres_url", "server", "store_line"]


def test_after_two_hundred_kills_every_line_is_counted_once(
    tmp_path: Path, store_line: str
) -> None:
    print(campaign(tmp_path, 200, 1, store_line))
