"""A folder of files that `infergate deploy` writes: planned first, and nothing is lost by it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infergate.errors import StateError, UserError
from infergate.files import name_aside

What = Literal["new", "same", "replaced", "yours"]


@dataclass(frozen=True)
class File:
    """One file or, where content is None, a folder.

    path: below the folder that is written to.
    yours: written once, for a person to fill in; never written again.
    owner: the user and group id it is for, given where we may; None is whoever writes it.
    """

    path: str
    content: bytes | None
    mode: int = 0o644
    yours: bool = False
    owner: tuple[int, int] | None = None


@dataclass(frozen=True)
class FolderStep:
    """What is done with one file."""

    file: File
    what: What


def plan(files: Iterable[File], folder: Path) -> tuple[FolderStep, ...]:
    """What writing the files would do. Raises UserError where something else is in the way."""
    return tuple(FolderStep(file, _what(file, folder / file.path)) for file in files)


def _what(file: File, path: Path) -> What:
    if not os.path.lexists(path):
        return "new"
    if path.is_dir() != (file.content is None) or path.is_symlink():
        raise UserError(
            "there is something else where a file or folder is to be written",
            where=str(path),
            hint="Move it away, or name another folder with -o.",
        )
    if file.content is None:
        return "same"
    if file.yours:
        return "yours"
    same = path.read_bytes() == file.content and path.stat().st_mode & 0o777 == file.mode
    return "same" if same else "replaced"


def write(steps: Iterable[FolderStep], folder: Path) -> Iterator[tuple[FolderStep, Path | None]]:
    """Do it; each step that wrote something, and where the file of before is now.

    Raises StateError if the disk refuses; each file is then the old or the new one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for step in steps:
            if step.what in ("same", "yours"):
                continue
            path = folder / step.file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = _copied_aside(path) if step.what == "replaced" else None
            _put(step.file, path)
            yield step, aside
    except OSError as problem:
        raise StateError(f"cannot be written: {problem.strerror}", where=str(folder)) from problem


def _put(file: File, path: Path) -> None:
    if file.content is None:
        path.mkdir(mode=file.mode)
        _give(file, path)
        return
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(file.content)
    fresh.chmod(file.mode)
    _give(file, fresh)
    fresh.replace(path)


def _give(file: File, path: Path) -> None:
    if file.owner is not None and os.geteuid() == 0:
        os.chown(path, *file.owner)


def _copied_aside(path: Path) -> Path:
    aside = name_aside(path)
    os.link(path, aside)  # with its owner and mode; the new file takes the name
    return aside
