"""Which engine the nginx of a state folder was started with: a newer one may have come since."""

from __future__ import annotations

import json
from pathlib import Path

from infergate.files import write_atomically
from infergate.processes import works_in

_NOTE = "run/engine.json"


def note_engine(home: Path, pid: int, argv: tuple[str, ...]) -> None:
    """home: the state folder. pid: of the master that was started with this."""
    write_atomically(home / _NOTE, json.dumps({"pid": pid, "argv": argv}))


def running_engine(home: Path) -> tuple[str, ...] | None:
    """What started the master that runs; None if none does, or nobody wrote it down."""
    try:
        noted = json.loads((home / _NOTE).read_text())
        return tuple(noted["argv"]) if works_in(noted["pid"], home) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
