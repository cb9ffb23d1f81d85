"""The access log and the files it was rotated to, read from where counting stopped.

A file is known by its first line, which no other has: it holds the id and the time of a request. So
it is the same file when it is renamed, and when it is copied, and another one when it was truncated
and has begun anew, whatever its inode says.

A file that was not seen as the log itself may be a copy of lines that are counted elsewhere: it is
looked at once before it is read (copies.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infergate.ledger.copies import is_copy
from infergate.log import log
from infergate.worker_files import LONGEST_LINE, data_from, open_regular

BLOCK_BYTES = 4 * 1024 * 1024
"""Read at once, and counted in one transaction: some 8,000 lines."""

_FIRST_LINE = 64 * 1024
_ROTATED = re.compile(
    r"""
      \. \d{8}T\d{6}                              # ours (rotate.py)
    | \. \d{1,5}                                  # logrotate: a count,
    | - \d{8} (?: \d{2} | -\d{2,10} )?             # dateext: a day; an hour or seconds with it,
    | [.-] \d{4}-\d{2}-\d{2} (?: [-T_]\d{2,6} )?  # or dateformat with dashes
    """,
    re.VERBOSE,
)
"""What is behind the log's name in that of a file it was rotated to, by rotate.py or logrotate. A
copy that somebody made under another name holds lines that are counted already."""
_KEPT_OPEN_S = 60.0
"""A file that was removed is read on for so long: workers may still be writing to it."""


@dataclass(frozen=True)
class Piece:
    """Whole lines of one file.

    start, end: where they begin and end in it, in bytes. Between them may be a hole.
    cut: the file was cut short to `start`, which was counted further before.
    """

    identity: str
    name: str
    inode: int
    start: int
    end: int
    data: bytes
    cut: bool = False


@dataclass
class _Open:
    """A file that is followed.

    first: its first line; None while it has none. copied: whether its lines are those of others;
    None while nobody has looked.
    """

    descriptor: int
    inode: int
    name: str
    first: bytes | None = None
    identity: str = ""
    gone_since: float | None = None
    copied: bool | None = None


class Tail:
    """Where counting stands in each file. Call `close` at the end."""

    def __init__(self, path: Path, positions: Mapping[str, int]) -> None:
        """path: of the access log; positions: by the files' identities."""
        self._path = path
        self._positions = dict(positions)
        self._open: dict[tuple[int, int], _Open] = {}
        self._cut: set[str] = set()

    def close(self) -> None:
        for each in self._open.values():
            os.close(each.descriptor)
        self._open.clear()

    def skip(self, but_bytes: int = 0) -> None:
        """Begin behind what is written by now. but_bytes: of the log's end, which is read; its
        first line may be half a one."""
        self._look_around()
        newest_first = sorted(self._open.values(), key=lambda file: file.name != self._path.name)
        for file in newest_first:
            if self._identify(file):
                file.copied = False
                size = os.fstat(file.descriptor).st_size
                kept = min(but_bytes, size)
                but_bytes -= kept
                self._positions[file.identity] = size - kept

    def pieces(self) -> Iterator[Piece]:
        """What was written since, the oldest file first; at most a block of each."""
        self._look_around()
        for file in list(self._open.values()):
            piece = self._next(file)
            if piece is not None:
                yield piece

    def counted(self, piece: Piece) -> None:
        """Go on behind this piece: it is stored."""
        self._positions[piece.identity] = piece.end
        self._cut.discard(piece.identity)

    def positions(self, of: set[str]) -> dict[str, int]:
        """Where counting stands in these files."""
        return {each: at for each, at in self._positions.items() if each in of}

    def behind_bytes(self) -> int:
        """What is written and not counted."""
        self._look_around()
        sizes: dict[str, int] = {}
        for file in self._open.values():
            if self._identify(file) and not file.copied:
                size = os.fstat(file.descriptor).st_size
                sizes[file.identity] = max(size, sizes.get(file.identity, 0))
        return sum(max(0, size - self._positions.get(name, 0)) for name, size in sizes.items())

    def present(self) -> set[str]:
        """The identities of the files that are there."""
        self._look_around()
        return {file.identity for file in self._open.values() if self._identify(file)}

    def is_counted(self, path: Path) -> bool:
        """Whether every line of this rotated file is counted."""
        with contextlib.suppress(OSError):
            facts = path.stat()
            file = self._open.get((facts.st_dev, facts.st_ino))
            if facts.st_size == 0:
                return True
            if file is not None and self._identify(file) and not file.copied:
                return self._positions.get(file.identity, 0) >= facts.st_size
        return False

    def _look_around(self) -> None:
        seen = set()
        for path in log_files(self._path):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            key = (facts.st_dev, facts.st_ino)
            seen.add(key)
            if key not in self._open:
                try:
                    descriptor = open_regular(path)
                except FileNotFoundError:
                    continue
                facts = os.fstat(descriptor)
                key = (facts.st_dev, facts.st_ino)
                if key in self._open:
                    os.close(descriptor)
                    continue
                seen.add(key)
                self._open[key] = _Open(descriptor, facts.st_ino, path.name)
                if path == self._path:
                    self._open[key].copied = False
            self._open[key].name = path.name
            self._open[key].gone_since = None
        now = time.monotonic()
        for key, file in list(self._open.items()):
            if key not in seen:
                file.gone_since = file.gone_since or now
                if now - file.gone_since > _KEPT_OPEN_S:
                    os.close(file.descriptor)
                    del self._open[key]

    def _next(self, file: _Open) -> Piece | None:
        if not self._identify(file):
            return None
        size = os.fstat(file.descriptor).st_size
        start = self._positions.get(file.identity, 0)
        if size < start and not self._has_a_longer_copy(file, start):
            log.warning("the access log was cut short", file=file.name, at=size, counted=start)
            self._cut.add(file.identity)
            start = self._positions[file.identity] = size
        if size <= start or self._is_copy(file, start):
            return None
        data = os.pread(file.descriptor, BLOCK_BYTES, start)
        if data.startswith(b"\0") and (written := data_from(file.descriptor, start)) > start:
            return self._piece(file, start, written, b"")
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) < LONGEST_LINE:
            return None  # a line that is being written
        data = data[: end or len(data)]
        return self._piece(file, start, start + len(data), data)

    def _piece(self, file: _Open, start: int, end: int, data: bytes) -> Piece:
        cut = file.identity in self._cut
        return Piece(file.identity, file.name, file.inode, start, end, data, cut)

    def _identify(self, file: _Open) -> bool:
        """Whether the file has a first line; finds out which file it is."""
        wanted = _FIRST_LINE if file.first is None else len(file.first)
        head = os.pread(file.descriptor, wanted, 0)
        if file.first is not None and head == file.first:
            return True
        if file.first is not None:
            head = os.pread(file.descriptor, _FIRST_LINE, 0)
        end = head.find(b"\n") + 1
        if end == 0 and len(head) < _FIRST_LINE:
            file.first, file.identity = None, ""
            return False
        if file.first is not None and file.name != self._path.name:
            file.copied = None  # other lines than before
        file.first = head[: end or len(head)]
        file.identity = hashlib.sha256(file.first).hexdigest()
        return True

    def _is_copy(self, file: _Open, start: int) -> bool:
        """Whether what is to be read stands in a file that is older, or in the log."""
        if file.copied is None:
            now = os.fstat(file.descriptor).st_mtime_ns
            file.copied = is_copy(
                file.descriptor,
                start,
                (
                    each.descriptor
                    for each in self._open.values()
                    if each is not file
                    and self._identify(each)
                    and each.identity != file.identity
                    and not each.copied
                    and (
                        each.name == self._path.name or os.fstat(each.descriptor).st_mtime_ns <= now
                    )
                ),
            )
            if file.copied:
                log.warning(
                    "a copy of lines that stand in another file is not counted", file=file.name
                )
        return file.copied

    def _has_a_longer_copy(self, file: _Open, size: int) -> bool:
        return any(
            other is not file
            and self._identify(other)
            and other.identity == file.identity
            and os.fstat(other.descriptor).st_size >= size
            for other in self._open.values()
        )


def log_files(path: Path) -> list[Path]:
    """The access log and those it was rotated to, the oldest first.

    Compressed ones are left out: they were counted before. So is what has another name, and what
    is no regular file."""
    found = []
    for each in path.parent.glob(path.name + "*"):
        if each == path or _ROTATED.fullmatch(each.name.removeprefix(path.name)):
            with contextlib.suppress(FileNotFoundError):
                facts = each.lstat()
                if stat.S_ISREG(facts.st_mode):
                    found.append((each == path, facts.st_mtime, each))
    return [each for _, _, each in sorted(found)]
