"""A backup is made: of a gateway that serves, or of one that does not run."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import IO

from infergate.backup.archive import PIECE, Header, end, put
from infergate.backup.contents import (
    HOME,
    STORE,
    Member,
    MissingPart,
    name_in_backup,
    of_configuration,
    of_state,
)
from infergate.backup.manifest import NAME, Kept, Manifest
from infergate.backup.seal import Sealing
from infergate.backup.staged import tables_of
from infergate.config.document import environment_names
from infergate.config.load import LoadedConfig, load_config
from infergate.errors import InfergateError, StateError, UserError
from infergate.ledger.tail import Tail, log_files
from infergate.live.revisions import current
from infergate.paths import Home
from infergate.store.audit import newest, note
from infergate.store.database import database_for
from infergate.worker_files import has_hole, open_regular

_LARGE_BYTES = 1 << 20
"""What is larger is not held in memory."""


@dataclass(frozen=True)
class Taken:
    """size: bytes of the file. files: how many are in it. missing: what could not be kept."""

    size: int
    files: int
    missing: tuple[MissingPart, ...]


@dataclass
class _Content:
    """A file as it was when it was looked at: in memory, or held open."""

    name: str
    mode: int
    size: int
    data: bytes | None = None
    descriptor: int = -1
    sha256: str = field(default="", init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        self.sha256 = digest.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        if self.data is not None:
            yield self.data
            return
        for at in range(0, self.size, PIECE):
            yield os.pread(self.descriptor, min(PIECE, self.size - at), at)


def take(
    loaded: LoadedConfig,
    home: Home,
    out: Path,
    *,
    passphrase: str | None,
    without_database: bool = False,
) -> Taken:
    """Write a backup to a file that is not there yet; nobody else may read it.

    loaded: the active configuration, or of its file where nothing is.
    Raises UserError if there is such a file or the database is not ours to copy, and StateError if
    something cannot be read or written. Then there is no file.
    """
    if os.path.lexists(out):
        raise UserError("is there already, and a backup is never overwritten", where=str(out))
    if loaded.config.store.url is not None and not without_database:
        raise UserError(
            "keys and usage are in PostgreSQL, which is not copied",
            where="store",
            hint="Copy it with pg_dump; --without-database makes a backup of the rest.",
        )
    at = int(time.time())
    with ExitStack() as open_files:
        scratch = Path(open_files.enter_context(_scratch(out)))
        contents, missing = _contents(loaded, home, scratch, open_files, without_database, out)
        manifest = _manifest(loaded, home, at, contents, scratch / "store.db")
        fresh = scratch / "backup"
        with _refusals(out):
            with open(fresh, "xb", opener=_for_us) as file:
                _write(file, manifest, contents, passphrase)
                file.flush()
                os.fsync(file.fileno())
            size = fresh.stat().st_size
            _name(fresh, out)
    return Taken(size, len(contents), missing)


def _name(fresh: Path, out: Path) -> None:
    try:
        os.link(fresh, out)  # refuses what has come there meanwhile
    except FileExistsError:
        raise
    except OSError:  # a disk without links, such as a USB stick's
        fresh.rename(out)


def _scratch(out: Path) -> tempfile.TemporaryDirectory[str]:
    with _refusals(out):
        return tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}.")


@contextlib.contextmanager
def _refusals(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise StateError(f"cannot be written: {problem.strerror}", where=str(out)) from problem


def _for_us(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _contents(
    loaded: LoadedConfig,
    home: Home,
    scratch: Path,
    open_files: ExitStack,
    without_database: bool,
    out: Path,
) -> tuple[list[_Content], tuple[MissingPart, ...]]:
    contents: list[_Content] = []
    missing: list[MissingPart] = []
    if not without_database and home.root.is_dir():
        newest(database_for(loaded.config, home))  # raises StoreLost where it is gone
        _note(loaded, home, out)
        copy = scratch / "store.db"
        _copy_database(home.store, copy)
        contents.append(_read(Member(STORE, copy), open_files))
        # After the database: what it has not counted then is in the log for sure.
        for kept in _uncounted(home, copy, open_files):
            if isinstance(kept, MissingPart):
                missing.append(kept)
            else:
                contents.append(kept)
    members = dict.fromkeys(each for known in _known(loaded) for each in of_configuration(known))
    for member in (*members, *of_state(home)):
        if isinstance(member, MissingPart):
            missing.append(member)
            continue
        # Of a file that goes meanwhile, as an old revision does, there is nothing to keep.
        with contextlib.suppress(FileNotFoundError):
            contents.append(_read(member, open_files))
    return contents, tuple(missing)


def _known(loaded: LoadedConfig) -> Iterator[LoadedConfig]:
    """As it is active, and as the file says now, unless that is broken."""
    yield loaded
    with contextlib.suppress(InfergateError):
        yield load_config(loaded.path)


def _note(loaded: LoadedConfig, home: Home, out: Path) -> None:
    """Who has all secrets now is worth a line in the audit log; a full disk does not forbid it."""
    with (
        contextlib.suppress(InfergateError),
        database_for(loaded.config, home).write() as connection,
    ):
        note(connection, "state.backup", out.name)


def _copy_database(store: Path, copy: Path) -> None:
    """By SQLite's own means, while others write: the copy is of one moment."""
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{_quoted(store)}?mode=ro", uri=True)) as old,
            contextlib.closing(sqlite3.connect(copy)) as new,
        ):
            old.backup(new)  # all at once: in WAL mode nobody who writes waits for who reads
            new.execute("pragma journal_mode = delete")  # one file, without one beside it
    except sqlite3.Error as problem:
        raise StateError(f"cannot be copied: {problem}", where=str(store)) from problem


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))


def _uncounted(home: Home, copy: Path, open_files: ExitStack) -> Iterator[_Content | MissingPart]:
    """The logs that have lines which the copied database has not counted, to their last whole
    one; not one that a worker has made endless."""
    with contextlib.closing(sqlite3.connect(copy)) as database:
        counted = dict(database.execute("select identity, position from logs").fetchall())
    tail = Tail(home.access_log, counted)
    try:
        present = tail.present()
        for path in log_files(home.access_log) if present else ():
            if tail.is_counted(path):
                continue
            if _is_endless(path):
                yield MissingPart(
                    "logs", path, "has holes, which nginx does not write: look who did"
                )
                continue
            yield _read(
                Member(HOME + str(path.relative_to(home.root)), path),
                open_files,
                whole_lines=True,
            )
    finally:
        tail.close()


def _is_endless(path: Path) -> bool:
    try:
        descriptor = open_regular(path)
    except OSError:
        return False
    try:
        return has_hole(descriptor)
    finally:
        os.close(descriptor)


def _read(member: Member, open_files: ExitStack, *, whole_lines: bool = False) -> _Content:
    """Raises FileNotFoundError if it is gone, StateError if it cannot be read."""
    try:
        descriptor = os.open(member.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        facts = os.fstat(descriptor)
        mode, size = facts.st_mode & 0o777, facts.st_size
        if size <= _LARGE_BYTES and not whole_lines:
            with os.fdopen(descriptor, "rb") as file:
                data = file.read()
            return _Content(member.name, mode, len(data), data)
        open_files.callback(os.close, descriptor)
        if whole_lines:
            size = _end_of_lines(descriptor, size)
        return _Content(member.name, mode, size, descriptor=descriptor)
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise StateError(f"cannot be read: {problem.strerror}", where=str(member.path)) from problem


def _end_of_lines(descriptor: int, size: int) -> int:
    start = max(0, size - PIECE)
    return start + os.pread(descriptor, size - start, start).rfind(b"\n") + 1


def _manifest(
    loaded: LoadedConfig,
    home: Home,
    at: int,
    contents: Iterable[_Content],
    copy: Path,
) -> Manifest:
    in_force = current(home)
    return Manifest(
        made_at=at,
        infergate=metadata.version("infergate"),
        host=socket.gethostname(),
        home=str(home.root),
        config=name_in_backup(loaded.path, loaded.path.parent),
        config_path=str(loaded.path),
        tables=tables_of(copy) if copy.exists() else None,
        current=in_force.number if in_force else None,
        environment=environment_names(loaded.path.read_text(encoding="utf-8", errors="replace")),
        files=tuple(Kept(each.name, each.size, each.sha256, each.mode) for each in contents),
    )


def _write(
    file: IO[bytes], manifest: Manifest, contents: Iterable[_Content], passphrase: str | None
) -> None:
    sealing = Sealing(file, passphrase) if passphrase is not None else None
    with gzip.GzipFile(
        filename="",
        mode="wb",
        compresslevel=6,
        fileobj=file if sealing is None else sealing,
        mtime=manifest.made_at,
    ) as out:
        text = manifest.as_json()
        put(out, Header(NAME, len(text), 0o600), iter((text,)), manifest.made_at)
        for each in contents:
            put(out, Header(each.name, each.size, each.mode), each.pieces(), manifest.made_at)
        end(out)
    if sealing is not None:
        sealing.finish()
