"""Files that another process may read at any moment, or that must not be written twice at once."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from infergate.errors import StateError, of_machine


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace a file's content so that a reader sees the old or the new one, never half.

    Raises StateError if the disk refuses; the old content is then still there.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), mode)
                _give_to_owner_of(path.parent, file.fileno())
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise of_machine(problem, "cannot be written", str(path)) from problem


def replace_or_overwrite(path: Path, text: str, *, mode: int = 0o600) -> None:
    """As write_atomically; but where the disk has no room for another file, the one that is there
    is written over. A crash in that moment leaves half of it.

    Raises StateError if neither can be done; the old content is then still there.
    """
    try:
        write_atomically(path, text, mode=mode)
    except StateError:
        try:
            _overwrite(path, text.encode())
        except OSError:
            pass
        else:
            return
        raise


def _overwrite(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        os.posix_fallocate(descriptor, 0, len(content))  # what has no room fails before any harm
        for at in range(0, len(content), _PIECE):
            file.write(content[at : at + _PIECE])
        file.truncate()
        os.fsync(descriptor)


_PIECE = 1 << 20


def _give_to_owner_of(folder: Path, descriptor: int) -> None:
    """Under root, nginx's workers are somebody else: the folder's group says who may read."""
    if os.geteuid() == 0:
        os.fchown(descriptor, -1, folder.stat().st_gid)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Differs after the file was written or replaced; None while there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def name_aside(path: Path) -> Path:
    """The first free name for what was here, as `cp --backup=numbered` gives it.

    Raises StateError where there are a thousand.
    """
    for number in range(1, _MOST_ASIDE):
        aside = path.with_name(f"{path.name}.~{number}~")
        if not os.path.lexists(aside):
            return aside
    raise StateError("has a thousand old copies", where=str(path), hint="Remove some.")


_MOST_ASIDE = 1000


@contextmanager
def locked_now(path: Path) -> Iterator[bool]:
    """Hold the lock file at path unless somebody else does; whether it is held.

    Raises what `locked` raises.
    """
    with _lock_file(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at path; waits for another holder. A killed holder's lock is free.

    Raises StateError if there is none and the disk takes no new one.
    """
    with _lock_file(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock_file(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")
    except OSError as problem:
        with suppress(OSError):  # one that is there can be held on a disk for reading only, too
            return path.open()
        raise of_machine(problem, "cannot be made", str(path)) from problem
