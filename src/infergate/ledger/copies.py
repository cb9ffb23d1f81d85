"""Whether a file has lines of others: a copy that somebody made under a name that a rotation gives.

A request has a line in one file of the log alone, and an id that no other has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from infergate.worker_files import LONGEST_LINE, data_from

_BLOCK = 4 * 1024 * 1024
_ID = re.compile(rb'^\{"ts":(\d+)[^\n]*?("id":"[^"\\\n]{1,128}")', re.MULTILINE)
_CLOSE_S = 60
"""The log's times and those of its files may be apart by so much: lines are written late."""


def is_copy(descriptor: int, start: int, others: Iterable[int]) -> bool:
    """Whether the first or the last request told in the next block of a file stands in another.

    start: where the block begins. others: descriptors of files that are no copies of this one.
    """
    found = _ID.findall(os.pread(descriptor, _BLOCK, start))
    wanted = [(int(second), name) for second, name in (*found[:1], *found[-1:])]
    return any(_has(other, second, name) for other in others for second, name in wanted)


def _has(descriptor: int, second: int, name: bytes) -> bool:
    """Whether the request of this id, that ended then, is told in the file."""
    if os.fstat(descriptor).st_mtime < second - _CLOSE_S:
        return False
    first = _ID.search(os.pread(descriptor, LONGEST_LINE, 0))
    if first is not None and int(first[1]) > second + _CLOSE_S:
        return False
    return any(name in block for block in _blocks(descriptor, len(name)))


def _blocks(descriptor: int, overlap: int) -> Iterator[bytes]:
    """What was written in a file, without its holes; each begins with the end of the last."""
    at, end = 0, b""
    while True:
        written = data_from(descriptor, at)
        block = os.pread(descriptor, _BLOCK, written)
        if not block:
            return
        yield end + block if written == at else block
        at, end = written + len(block), block[-overlap:]
