"""Files where nginx's workers may write, opened so that nothing planted there leads elsewhere.

Under root the workers are another user, and somebody may have got hold of one. So what we read or
remove there is reached from folder to folder (openat) and never through a link: a folder may be
swapped for one between two looks. Only regular files are read: a FIFO would never end.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, BinaryIO

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

LONGEST_LINE = 1024 * 1024
"""Bytes of a line of a log."""

Found = tuple[PurePath, os.stat_result]
"""A path below a folder of the workers, and what is there: the link, not what it names."""


def open_regular(
    path: PurePath | str, flags: int = os.O_RDONLY, mode: int = 0o600, *, below: int | None = None
) -> int:
    """A descriptor of a regular file; never that of what a link names.

    below: descriptor of the folder that path starts from. mode: of a file that this makes.
    Raises OSError, also for a link, a FIFO, a folder or a device: nothing of them is read.
    """
    # Without O_NONBLOCK, to open a FIFO waits for its other end.
    wanted = flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, wanted, mode, dir_fd=below)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return descriptor


def entry_in(line: str | bytes) -> dict[str, Any] | None:
    """The JSON object of a line that a worker wrote; None if it is none, whatever it is.

    What the values are is for the reader to look at: endless numbers, texts that are no Unicode.
    Bytes of clients that are no UTF-8 are U+FFFD.
    """
    try:
        entry = json.loads(line.decode(errors="replace") if isinstance(line, bytes) else line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def data_from(descriptor: int, at: int) -> int:
    """Where the next byte is that somebody wrote. A hole has none: a worker can make its log as
    long as a file may be, within no time. Leaves the descriptor's own place as it is."""
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError as problem:
        # None until the end; else there is no telling here.
        return os.fstat(descriptor).st_size if problem.errno == errno.ENXIO else at
    finally:
        os.lseek(descriptor, place, os.SEEK_SET)


def has_hole(descriptor: int) -> bool:
    """Whether it is longer than what was written: nginx only appends."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_HOLE) < os.fstat(descriptor).st_size
    except OSError:  # it is empty, or there is no telling here
        return False


def next_line(file: BinaryIO) -> bytes:
    """The next line of a log, with its end if it is there already; b"" at the end of the file.

    What is longer than a line can be (LONGEST_LINE), and not its last part, is passed over.
    """
    while True:
        line = file.readline(LONGEST_LINE)
        if not _goes_on(line):
            return line
        while _goes_on(line):
            file.seek(data_from(file.fileno(), file.tell()))
            line = file.readline(LONGEST_LINE)
        if not line:
            return b""


def _goes_on(line: bytes) -> bool:
    return len(line) == LONGEST_LINE and not line.endswith(b"\n")


def tail_of(path: Path, most_bytes: int = 64 * 1024) -> str:
    """The end of a text; "" where there is no such file."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most_bytes))
            return file.read(most_bytes).decode(errors="replace")
    except OSError:
        return ""


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A new folder of ours, removed at the end with what workers have put into it.

    No worker can make us fail there: what cannot be removed stays.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            _remove_tree(folder)


def _remove_tree(path: Path) -> None:
    """However deep it is, which shutil.rmtree cannot: folders come up before they are removed.

    Each is taken from the worker first, so nothing more comes into it. Raises OSError.
    """
    number = itertools.count()
    top = os.open(path, FOLDER_FLAGS)
    try:
        while inner := _without_files(top):
            for name in inner:
                folder = os.open(name, FOLDER_FLAGS, dir_fd=top)
                try:
                    for deeper in _without_files(folder):
                        os.rename(deeper, f".{next(number)}", src_dir_fd=folder, dst_dir_fd=top)
                finally:
                    os.close(folder)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    path.rmdir()


def _without_files(folder: int) -> list[str]:
    """Take over a folder and remove what is no folder in it; the names of those that are."""
    os.fchown(folder, os.geteuid(), -1)
    os.fchmod(folder, 0o700)
    folders = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return folders


class WorkersFolder:
    """A folder that belongs to the workers, in one that does not. Names are paths from it on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def files(self, deepest: int) -> Iterator[Found]:
        """Whatever is no folder, at most so many folders down: its name and facts.

        Empty where the folder is not there, or is something else.
        """
        with contextlib.suppress(OSError):
            yield from _files(os.open(self._path, FOLDER_FLAGS), PurePath(), deepest)

    def read(self, name: PurePath, most_bytes: int) -> bytes | None:
        """What is in a regular file; None for anything else, and for a larger one."""
        try:
            with self._folder_of(name) as folder:
                descriptor = open_regular(name.name, below=folder)
            with os.fdopen(descriptor, "rb") as file:
                data = file.read(most_bytes + 1)
        except OSError:
            return None
        return data if len(data) <= most_bytes else None

    def remove(self, name: PurePath) -> bool:
        """Whether there was such a file, or link, or anything but a folder."""
        try:
            with self._folder_of(name) as folder:
                os.unlink(name.name, dir_fd=folder)
        except OSError:
            return False
        return True

    def remove_empty(self, name: PurePath) -> bool:
        """Remove a folder if nothing is in it."""
        try:
            with self._folder_of(name) as folder:
                os.rmdir(name.name, dir_fd=folder)
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def _folder_of(self, name: PurePath) -> Iterator[int]:
        descriptor = os.open(self._path, FOLDER_FLAGS)
        try:
            for part in name.parts[:-1]:
                inner = os.open(part, FOLDER_FLAGS, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)


def _files(folder: int, prefix: PurePath, deepest: int) -> Iterator[Found]:
    """folder: its descriptor, which is closed at the end."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix / entry.name
                try:
                    if not entry.is_dir(follow_symlinks=False):
                        yield name, entry.stat(follow_symlinks=False)
                        continue
                    inner = os.open(entry.name, FOLDER_FLAGS, dir_fd=folder)
                except OSError:  # it went meanwhile, or became something else
                    continue
                if deepest > 0:
                    yield from _files(inner, name, deepest - 1)
                else:
                    os.close(inner)
    finally:
        os.close(folder)
