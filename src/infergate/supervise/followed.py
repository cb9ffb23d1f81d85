"""Which state of the configuration file was taken last, while `infergate up --watch` follows it.

The supervisor notes it before the file is read, the follower (changes/follow.py) from then on: so a
change that comes while the follower is not there yet, or is started again, is not missed.
"""

from __future__ import annotations

import json

from infergate.files import write_atomically
from infergate.paths import Home


def note_followed(home: Home, stamp: tuple[int, int, int] | None) -> None:
    """stamp: of the file (files.stamp). Raises StateError if the disk refuses."""
    write_atomically(home.followed, json.dumps(stamp))


def last_followed(home: Home) -> tuple[int, int, int] | None:
    """What was noted last; None if nothing was, or the file was not there."""
    try:
        inode, size, modified_ns = json.loads(home.followed.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return inode, size, modified_ns
