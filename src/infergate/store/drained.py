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

    def list(self) -> dict[str, int]:
        """Each drained backend, with the Unix time since when."""
        with opened(self._path) as database:
            rows = database.execute("select backend, since from drained").fetchall()
        return {row["backend"]: row["since"] for row in rows}
