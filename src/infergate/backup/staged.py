"""A backup is read: all of it, into a folder of ours, before anything else is touched."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from infergate.backup.archive import Header, Source, content, headers
from infergate.backup.contents import CONFIG, HOME, OUTSIDE, STORE
from infergate.backup.manifest import LARGEST_BYTES, NAME, Kept, Manifest, read_manifest
from infergate.backup.seal import MAGIC, Unsealed
from infergate.backup.swap import STAGING, is_unfinished, remove_staging
from infergate.errors import BackupRefused, StateError
from infergate.paths import Home
from infergate.store.migrate import NEWEST

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LEFT_FREE_BYTES = 64 << 20


@dataclass(frozen=True)
class Staged:
    """A backup that was read and found good. folder: has its files under their names in it."""

    manifest: Manifest
    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name


@contextmanager
def staged(file: Path, home: Home, ask: Callable[[], str]) -> Iterator[Staged]:
    """Its content in a folder of the state folder, which is removed at the end. ask: the
    passphrase.

    Raises BackupRefused if it is not as it was made, whatever the reason.
    """
    root = home.root
    made = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_staging(home)
        folder = Path(tempfile.mkdtemp(dir=root, prefix=STAGING))
    except OSError as problem:
        raise StateError(f"cannot be written: {problem.strerror}", where=str(root)) from problem
    try:
        yield _read(file, folder, ask)
    finally:
        if not is_unfinished(home):  # it is needed to finish
            shutil.rmtree(folder, ignore_errors=True)
        if made:
            with contextlib.suppress(OSError):
                root.rmdir()


def _read(file: Path, folder: Path, ask: Callable[[], str]) -> Staged:
    try:
        with file.open("rb") as opened:
            manifest = _unpack(_opened(opened, ask), folder)
        if manifest.tables is not None:
            _refuse_bad(folder / STORE, manifest.tables)
    except BackupRefused as problem:
        raise BackupRefused(problem.what, where=str(file), hint=problem.hint) from None
    except OSError as problem:
        where = str(problem.filename or file)
        raise StateError(f"cannot be used: {problem.strerror}", where=where) from problem
    return Staged(manifest, folder)


def _opened(file: IO[bytes], ask: Callable[[], str]) -> Source:
    head = file.read(len(MAGIC))
    if head == MAGIC:
        inner: Source = Unsealed(file, ask())
    else:
        file.seek(0)
        inner = file
    return gzip.GzipFile(fileobj=_Raw(inner), mode="rb")


class _Raw(io.RawIOBase):
    """What gzip reads from: it wants a file."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        room = memoryview(buffer).cast("B")
        data = self._source.read(len(room))
        room[: len(data)] = data
        return len(data)


def _unpack(source: Source, folder: Path) -> Manifest:
    found = headers(source)
    manifest = _manifest(source, next(found, None))
    if manifest.size > shutil.disk_usage(folder).free - _LEFT_FREE_BYTES:
        raise BackupRefused(f"has {manifest.size:,} bytes, for which there is no room")
    expected = {each.name: each for each in manifest.files}
    for header in found:
        kept = expected.pop(header.name, None)
        if kept is None or not header.name.startswith((CONFIG, OUTSIDE, HOME)):
            raise BackupRefused(f"has a file that it does not list: {header.name!r}")
        if kept.size != header.size:
            raise BackupRefused(f"has another size than it lists: {header.name!r}")
        _put(source, header, kept, folder / header.name)
    if expected:
        raise BackupRefused(f"lacks files that it lists, such as {next(iter(expected))!r}")
    if manifest.tables is not None and not (folder / STORE).is_file():
        raise BackupRefused("lacks the database that it speaks of")
    if not (folder / manifest.config).is_file() or not manifest.config.startswith(CONFIG):
        raise BackupRefused("lacks the configuration")
    return manifest


def _manifest(source: Source, header: Header | None) -> Manifest:
    if header is None or header.name != NAME or header.size > LARGEST_BYTES:
        raise BackupRefused("is no backup of Infergate")
    return read_manifest(b"".join(content(source, header)))


def _put(source: Source, header: Header, kept: Kept, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except (FileExistsError, NotADirectoryError):  # "a" and "a/b"
        raise BackupRefused(f"has a file and a folder of one name: {header.name!r}") from None
    digest = hashlib.sha256()
    with os.fdopen(descriptor, "wb") as out:
        for piece in content(source, header):
            digest.update(piece)
            out.write(piece)
        os.fchmod(out.fileno(), kept.mode & 0o755)  # nobody else writes, no set-user-id
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != kept.sha256:
        raise BackupRefused(f"is damaged: {header.name!r} is not as it was")


def _refuse_bad(store: Path, tables: str) -> None:
    if tables > NEWEST:
        raise BackupRefused(
            f"has a database of a newer Infergate (tables {tables}; this one knows {NEWEST})",
            hint="Use that Infergate.",
        )
    try:
        with contextlib.closing(sqlite3.connect(store)) as database:
            sound = database.execute("pragma quick_check").fetchone() == ("ok",)
        sound = sound and tables_of(store) == tables
    except sqlite3.Error:
        sound = False
    if not sound:
        raise BackupRefused("is damaged: its database is not sound")


def tables_of(store: Path) -> str | None:
    """The version of a database's tables; None where there are none."""
    with contextlib.closing(sqlite3.connect(store)) as database:
        try:
            row = database.execute("select version_num from alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
    return None if row is None else str(row[0])
