"""The access log from its end: the newest request first, whatever file it was rotated to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from infergate.ledger.tail import log_files
from infergate.worker_files import LONGEST_LINE, open_regular

_BLOCK_BYTES = 256 * 1024


class NewestFirst:
    """Lines of the log and of the files it was rotated to, newest first.

    most_bytes: read no more than that. cut: whether that was not all.
    """

    def __init__(self, log: Path, most_bytes: int) -> None:
        self._log, self._left, self.cut = log, most_bytes, False

    def __iter__(self) -> Iterator[bytes]:
        for path in reversed(log_files(self._log)):
            try:
                descriptor = open_regular(path)
            except OSError:  # it was removed meanwhile
                continue
            try:
                yield from self._lines(descriptor)
            finally:
                os.close(descriptor)
            if self.cut:
                return

    def _lines(self, descriptor: int) -> Iterator[bytes]:
        end, rest = os.fstat(descriptor).st_size, b""
        while end > 0:
            if self._left <= 0:
                self.cut = True
                return
            start = max(0, end - _BLOCK_BYTES)
            block = os.pread(descriptor, end - start, start)
            self._left -= len(block) or _BLOCK_BYTES
            end = start
            first, *others = (block + rest).split(b"\n")
            yield from (line for line in reversed(others) if line)
            rest = first if len(first) < LONGEST_LINE else b""
        if rest:
            yield rest
