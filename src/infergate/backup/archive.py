"""The file itself: a tar that `tar` can list, of regular files only, compressed with gzip.

It is read header by header. Links, devices, folders, and the headers that say something about other
headers are refused before anything of them is read; so are names that lead out, and sizes that are
others than the manifest said.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from infergate.errors import BackupRefused, StateError

PIECE = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)
_ODD = re.compile(r"[\x00-\x1f\x7f\\]")
_LONGEST_END = 64 * 1024
"""tar fills the last record up with zeros: 10 KiB as a rule."""


class Source(Protocol):
    """What is read from: a file, or one that is unsealed or unpacked on the way."""

    def read(self, size: int, /) -> bytes: ...


class Sink(Protocol):
    """What is written to."""

    def write(self, data: bytes, /) -> int: ...


@dataclass(frozen=True)
class Header:
    """One file of an archive. size: in bytes."""

    name: str
    size: int
    mode: int


def put(out: Sink, header: Header, pieces: Iterator[bytes], at: int) -> None:
    """Append a file. at: Unix seconds. Raises StateError for what no tar can hold."""
    info = tarfile.TarInfo(header.name)
    info.size, info.mode, info.mtime = header.size, header.mode, at
    try:
        out.write(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape"))
    except ValueError as problem:
        raise StateError(f"cannot be put into a backup: {problem}", where=header.name) from None
    written = 0
    for piece in pieces:
        out.write(piece)
        written += len(piece)
    if written != header.size:
        raise StateError("changed while it was read; try again", where=header.name)
    out.write(bytes(-written % _BLOCK))


def end(out: Sink) -> None:
    """Say that nothing follows."""
    out.write(bytes(2 * _BLOCK))


def headers(source: Source) -> Iterator[Header]:
    """Each file's header; the caller takes the content with `content` before the next one.

    Raises BackupRefused.
    """
    seen: set[str] = set()
    while True:
        block = _exactly(source, _BLOCK)
        if not any(block):
            _refuse_more(source)
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise BackupRefused("is damaged, or no backup of Infergate") from None
        if info.type not in _REGULAR:
            raise BackupRefused(f"has something else than files in it: {info.name!r}")
        if info.size < 0:
            raise BackupRefused(f"says that a file has a size below 0: {info.name!r}")
        refuse_name(info.name)
        if info.name in seen:
            raise BackupRefused(f"has a file twice: {info.name!r}")
        seen.add(info.name)
        yield Header(info.name, info.size, info.mode)


def content(source: Source, header: Header) -> Iterator[bytes]:
    """What is in the file whose header was read last. Raises BackupRefused if it ends before."""
    left = header.size
    while left:
        piece = _exactly(source, min(left, PIECE))
        left -= len(piece)
        yield piece
    _exactly(source, -header.size % _BLOCK)


def refuse_name(name: str) -> None:
    """Raises BackupRefused for a path that is not below the folder it is unpacked into."""
    parts = name.split("/")
    if _ODD.search(name) or any(part in ("", ".", "..") for part in parts):
        raise BackupRefused(f"has a file whose name leads elsewhere: {name!r}")


def _exactly(source: Source, size: int) -> bytes:
    pieces, left = [], size
    while left:
        try:
            piece = source.read(left)
        except (OSError, EOFError, zlib.error) as problem:
            raise BackupRefused(f"is damaged, or no backup of Infergate: {problem}") from None
        if not piece:
            raise BackupRefused("ends too early: it was cut off")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _refuse_more(source: Source) -> None:
    left = _LONGEST_END
    while True:
        try:
            piece = source.read(left)
        except (OSError, EOFError, zlib.error) as problem:
            raise BackupRefused(f"is damaged: {problem}") from None
        left -= len(piece)
        if not piece:
            return
        if any(piece) or left <= 0:
            raise BackupRefused("goes on behind its end")
