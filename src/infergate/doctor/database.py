"""Whether the database can be read. It is opened for reading alone: nothing is made or migrated."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from infergate.config.root import Config
from infergate.hardening.check import Check, bad, good
from infergate.paths import Home

_WAIT_S = 5.0


def check_database(config: Config, home: Home) -> Iterator[Check]:
    """Of SQLite, where there is one yet: a PostgreSQL's reading is told by the ledger, and its name
    by check_names."""
    if config.store.url is not None or not home.store.exists():
        return
    try:
        _read(home.store)
    except sqlite3.Error as problem:
        yield bad(
            "database",
            "high",
            f"the database cannot be read: {problem}; nginx goes on with the keys that it has",
            f"`infergate restore` a backup; without one, move '{home.store}'* elsewhere, and "
            "`infergate up` begins anew, without the keys and the usage in it.",
        )
    else:
        yield good("database", "high", "the database can be read")


def _read(path: Path) -> None:
    """Raises sqlite3.Error."""
    address = f"file:{quote(str(path))}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=_WAIT_S)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in tables.fetchall():
            quoted = name.replace('"', '""')
            connection.execute(f'SELECT * FROM "{quoted}" LIMIT 1').fetchall()  # noqa: S608
