"""What a batch has answered: its two files, written ahead of everything that is said of them.

A line counts as answered when it is on the disk with its newline. What a kill tore is cut off, and
asked again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from infergate.api.files.folder import Folder

_START = re.compile(rb'{"id": "batch_req_[0-9a-f]+_(\d{1,9})"')
_LONGEST_START = 100
_PIECE = 1024**2


@dataclass(frozen=True)
class Done:
    """One line's end. response: {status_code, request_id, body}, where there was an answer; else
    error: {code, message}."""

    number: int
    custom_id: str
    response: Mapping[str, Any] | None
    error: Mapping[str, Any] | None = None

    @property
    def is_good(self) -> bool:
        return self.response is not None and 200 <= self.response["status_code"] < 300

    def line(self, batch: str) -> bytes:
        """As OpenAI writes it. The number of the line is in its id."""
        told = {
            "id": f"batch_req_{batch.removeprefix('batch_')}_{self.number}",
            "custom_id": self.custom_id,
            "response": self.response,
            "error": self.error,
        }
        return json.dumps(told).encode() + b"\n"


class Journal:
    """The answers of one batch. Nothing is written twice: whoever asks looks at `done`."""

    def __init__(self, folder: Folder, batch: str, output: str, errors: str) -> None:
        """Open both files, or begin them, and find out what is done. Raises OSError."""
        self._batch = batch
        self._output, good = _resumed(folder, output)
        self._errors, bad = _resumed(folder, errors)
        self.done = good | bad
        self.completed, self.failed = len(good), len(bad)

    def write(self, answered: Sequence[Done]) -> None:
        """Returns when they are on the disk. Raises OSError: what is not in `done` then is in
        neither file."""
        for file, mine in (
            (self._output, [each for each in answered if each.is_good]),
            (self._errors, [each for each in answered if not each.is_good]),
        ):
            if mine:
                _append(file, b"".join(each.line(self._batch) for each in mine))
                self.done |= {each.number for each in mine}
                if file is self._output:
                    self.completed += len(mine)
                else:
                    self.failed += len(mine)

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of the output and of the errors."""
        return (_size(self._output), _size(self._errors))

    def close(self) -> None:
        self._output.close()
        self._errors.close()


def _append(file: BinaryIO, data: bytes) -> None:
    start = _size(file)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(start)
        raise


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _resumed(folder: Folder, id_: str) -> tuple[BinaryIO, set[int]]:
    path = folder.path(id_)
    if not path.exists():
        folder.create(id_).close()
        folder.sync()
    done, end = _read(path)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW), "r+b", buffering=0)
    if end < _size(file):
        file.truncate(end)
        os.fsync(file.fileno())
    return file, done


def _read(path: Path) -> tuple[set[int], int]:
    """The numbers of the whole lines, and where the last of these ends. No line is held whole: one
    may be as large as an answer."""
    done: set[int] = set()
    position = 0
    with path.open("rb", buffering=_PIECE) as file:
        while True:
            start = piece = file.readline(_LONGEST_START)
            size = len(piece)
            while piece and not piece.endswith(b"\n"):
                piece = file.readline(_PIECE)
                size += len(piece)
            found = _START.match(start)
            if not piece or found is None:  # torn, or the end
                return done, position
            done.add(int(found[1]))
            position += size
