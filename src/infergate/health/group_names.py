"""What the ways of finding a group's backends share."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

MOST = 200
"""Backends of one group; more of them are left out."""

_LONGEST = 63
_ODD = re.compile(r"[^A-Za-z0-9_.-]+")


class GroupUnknown(Exception):
    """The backends of a group cannot be told now; the text says why, in plain words.

    files: what was read for it until then, if it is files.
    """

    def __init__(self, why: str, files: tuple[Path, ...] = ()) -> None:
        super().__init__(why)
        self.files = files


def name_of(group: str, place: str) -> str:
    """The name of a group's backend at an address: the same whenever it is found again."""
    name = f"{group}-{_ODD.sub('-', place).strip('-')}"
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
