"""Backends that an operator has taken out of service."""

from __future__ import annotations

import time
from pathlib import Path

from infergate.store.database import opened


class DrainStore:
    """The drained backends of one gateway; they stay so over restarts until undrained."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, backend: str) -> None:
        with opened(self._path) as database:
            database.execute(
                "insert into drained values (?, ?) on conflict do nothing",
                (backend, int(time.time())),
            )

    def remove(self, backend: str) -> None:
        with opened(self._path) as database:
            database.execute("delete from drained where backend = ?", (backend,))

    def list(self) -> frozenset[str]:
        with opened(self._path) as database:
            rows = database.execute("select backend from drained").fetchall()
        return frozenset(row["backend"] for row in rows)
