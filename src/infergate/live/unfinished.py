"""What somebody began to activate: noted before the first step, gone after the last one.

Whoever does it may be killed between any two steps. Then this says where the gateway is to be in
the end, and who finds it brings it there (control/settle.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from infergate.errors import of_machine
from infergate.files import replace_or_overwrite
from infergate.paths import Home
from infergate.state_file import read_state


@dataclass(frozen=True)
class Unfinished:
    """A change that was begun.

    goal: the revision that is to be active: the one before until nginx answers with the new one,
        and then the new one. reload: whether nginx is reloaded for it.
    """

    goal: int
    reload: bool


def begin(home: Home, unfinished: Unfinished) -> None:
    """Raises StateError if the disk takes no note; then nothing may be begun."""
    replace_or_overwrite(_file(home), json.dumps(asdict(unfinished)).ljust(_LENGTH))


def read_unfinished(home: Home) -> Unfinished | None:
    """None where nothing was begun, or all of it is done."""
    return read_state(_file(home), lambda said: Unfinished(int(said["goal"]), bool(said["reload"])))


def finish(home: Home) -> None:
    """All is done. Raises StateError if the disk does not take that; it is settled again then."""
    try:
        _file(home).unlink(missing_ok=True)
    except OSError as problem:
        raise of_machine(problem, "cannot be removed", str(_file(home))) from problem


_LENGTH = 64
"""The same for all: a second note takes the place of the first, also on a full disk."""


def _file(home: Home) -> Path:
    return home.run / "change.json"
