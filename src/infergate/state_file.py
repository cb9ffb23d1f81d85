"""Files of the state folder that only we write: what is in them is known, or it is damaged."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from infergate.errors import StateError
from infergate.log import log

T = TypeVar("T")

SET_ASIDE = ".unreadable"
"""At the end of the name of one that was damaged."""

_NO_FILE = (errno.EISDIR, errno.ELOOP)
"""What is there instead: a folder, or a link to itself."""

_AGAIN_AFTER_S = 0.05
"""It may be about to be written over in place (files.replace_or_overwrite)."""


def read_state(path: Path, understood: Callable[[Any], T]) -> T | None:
    """What a state file says; None where there is none.

    understood: makes of the JSON what the caller wants; a ValueError, LookupError, TypeError or
        AttributeError of it means that the file is damaged.
    A damaged one is told and set aside under another name, and counts as none: whoever keeps it
    makes it anew. Raises StateError if it is there and may not be read.
    """
    for attempt in range(2):
        try:
            return understood(json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as problem:
            if problem.errno not in _NO_FILE:
                why = f"cannot be read: {problem.strerror}"
                raise StateError(why, where=str(path)) from problem
            damage: Exception = problem
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
            damage = problem
        if attempt == 0:
            time.sleep(_AGAIN_AFTER_S)
    aside = path.with_name(path.name + SET_ASIDE)
    if os.path.lexists(aside) and (path.is_dir() or aside.is_dir()):  # else it takes its place
        aside = path.with_name(f"{path.name}.{time.time_ns()}{SET_ASIDE}")
    with contextlib.suppress(OSError):  # a full disk can rename; one for reading alone cannot
        path.replace(aside)
    log.error(
        "a state file could not be understood and counts as none; it was set aside",
        file=str(path),
        aside=str(aside),
        problem=f"{type(damage).__name__}: {damage}"[:200],
    )
    return None


def set_aside(folder: Path) -> tuple[Path, ...]:
    """The damaged files that lie in a folder."""
    return tuple(sorted(folder.glob(f"*{SET_ASIDE}")))
