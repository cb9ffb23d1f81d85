"""Where the files of clients lie: one folder, which only the gateway's user may enter."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

_RANDOM_BYTES = 16
_ID = re.compile(r"file-[0-9a-f]{32}")


def new_file_id() -> str:
    """An id that nobody can guess; a file is called so on the disk, and never as a client likes."""
    return f"file-{secrets.token_hex(_RANDOM_BYTES)}"


class Folder:
    """One flat folder. What an id names that was not made here is never opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, id_: str) -> Path:
        """Raises ValueError for what is no id of ours."""
        if not _ID.fullmatch(id_):
            raise ValueError(id_)
        return self._path / id_

    def create(self, id_: str) -> BinaryIO:
        """A new file, for its owner alone. Raises FileExistsError, OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.fdopen(os.open(self.path(id_), flags, 0o600), "wb", buffering=0)

    def remove(self, *ids: str) -> None:
        for each in ids:
            self.path(each).unlink(missing_ok=True)

    def remove_unknown(self, known: Callable[[Iterable[str]], set[str]]) -> list[str]:
        """Remove what nobody knows of: of an upload or a deletion that ended in its midst. Which
        that was. Nobody may be writing meanwhile.

        known: those of the names that are to stay.
        """
        there = [each.name for each in self._path.iterdir() if _ID.fullmatch(each.name)]
        unknown = sorted(set(there) - known(there))
        self.remove(*unknown)
        return unknown

    def sync(self) -> None:
        """So that a new file is still there when the machine stops."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
