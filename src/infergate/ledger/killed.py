"""Workers of nginx that were killed, as its error log tells: the lines that such a worker had not
written yet are lost (`buffer` and `flush` of access_log in nginx.conf.j2)."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from infergate.nginx.error_line import said
from infergate.worker_files import open_regular

_KILLED = re.compile(r"worker process \d+ exited on signal \d+")
_MOST_BYTES = 4 * 1024 * 1024


class KilledWorkers:
    """Counts from where the log ends now."""

    def __init__(self, path: Path) -> None:
        """path: of nginx's error log."""
        self._path = path
        self._at: tuple[int, int] = (0, 0)  # the file's inode, and how far it is read
        with contextlib.suppress(OSError):
            facts = path.stat()
            self._at = (facts.st_ino, facts.st_size)

    def more(self) -> int:
        """How many were killed since the last call. A log that cannot be read tells none."""
        try:
            descriptor = open_regular(self._path)
        except OSError:
            return 0
        try:
            facts = os.fstat(descriptor)
            inode, start = self._at
            if facts.st_ino != inode or facts.st_size < start:
                start = 0  # another one, or cut
            data = os.pread(descriptor, _MOST_BYTES, start)
            end = data.rfind(b"\n") + 1
            self._at = (
                facts.st_ino,
                start + (end or (len(data) if len(data) == _MOST_BYTES else 0)),
            )
            text = data[:end].decode(errors="replace")
            return sum(_KILLED.match(words) is not None for _, words in said(text))
        except OSError:
            return 0
        finally:
            os.close(descriptor)
