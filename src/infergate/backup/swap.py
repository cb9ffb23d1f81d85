"""Several files and folders change places with others, and a crash leaves no half.

What is to be done is written down first. Each step is a rename that can be done again without harm,
so whoever comes next (`infergate up`, another `restore`) finishes what was begun.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from infergate.errors import StateError
from infergate.files import write_atomically
from infergate.paths import Home
from infergate.state_file import read_state

STAGING = ".restore-"
"""How folders of the state folder begin that hold what comes to its place."""


@dataclass(frozen=True)
class Swap:
    """fresh comes to where path is, and what is there goes to aside. All on one disk.

    fresh: None where only what is there is to go.
    """

    fresh: str | None
    path: str
    aside: str


def _journal(home: Home) -> Path:
    return home.root / "restore.json"


def exchange(home: Home, steps: Sequence[Swap]) -> None:
    """Do all of it. Raises StateError if it cannot even be begun; nothing was done then."""
    write_atomically(_journal(home), json.dumps([asdict(each) for each in steps]))
    finish_exchange(home)


def is_unfinished(home: Home) -> bool:
    """Whether a process that was killed, or a disk that refused, has left something to be done."""
    return _journal(home).exists()


def finish_exchange(home: Home) -> bool:
    """Finish what a process that was killed has begun; whether there was anything.

    Raises StateError if the disk refuses: it is still to be finished then.
    """
    steps = read_state(_journal(home), lambda said: [Swap(**each) for each in said])
    if steps is None:
        return False
    for step in steps:
        try:
            _do(step)
        except OSError as problem:
            raise StateError(
                f"cannot be replaced: {problem.strerror}",
                where=step.path,
                hint="What a backup has is half in its place. Mend that and repeat the command:\n"
                "  it is finished then, and by `infergate up` too.",
            ) from problem
    _journal(home).unlink()
    remove_staging(home)
    return True


def remove_staging(home: Home) -> None:
    """What is left of it, of a process that was killed too."""
    for left in home.root.glob(f"{STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)


def _do(step: Swap) -> None:
    is_due = step.fresh is None or os.path.lexists(step.fresh)
    if is_due and os.path.lexists(step.path) and not os.path.lexists(step.aside):
        Path(step.aside).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        Path(step.path).rename(step.aside)
    if step.fresh is not None and is_due:
        Path(step.path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        Path(step.fresh).rename(step.path)
    for folder in {Path(step.path).parent, Path(step.aside).parent}:
        if folder.is_dir():
            _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_beside(source: Path, path: Path) -> Path:
    """A copy in the folder of path, which may be on another disk, under a name that nobody looks
    for; from there it can be renamed."""
    fresh = path.with_name(f".{path.name}.restored")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh.unlink(missing_ok=True)
    shutil.copy2(source, fresh, follow_symlinks=False)
    return fresh
