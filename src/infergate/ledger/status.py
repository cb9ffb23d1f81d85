"""What the ledger is doing, for `infergate status`: a file that a full disk cannot stop.

Its bytes are written over, never replaced: that needs no new block of the disk.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

_BYTES = 1024


@dataclass(frozen=True)
class LedgerStatus:
    """How counting stands.

    at: Unix seconds of this word. problem: why nothing is counted; empty while it is.
    since: since when it is so. behind_bytes: of the log, not counted yet.
    unreadable: lines that were no requests, since the ledger was started.
    killed_workers: of nginx, since then; what each had not written yet is not counted.
    """

    at: float
    problem: str = ""
    hint: str = ""
    since: float = 0.0
    behind_bytes: int = 0
    unreadable: int = 0
    killed_workers: int = 0


def write_status(path: Path, status: LedgerStatus) -> None:
    """Raises OSError only where the file cannot even be made."""
    document = dataclasses.asdict(status)
    text = json.dumps(document).encode()
    if len(text) >= _BYTES:
        document |= {"problem": status.problem[:300], "hint": status.hint[:200]}
        text = json.dumps(document).encode()[: _BYTES - 1]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, text.ljust(_BYTES - 1) + b"\n", 0)
    finally:
        os.close(descriptor)


def read_status(path: Path) -> LedgerStatus | None:
    """The last word; None if there is none that can be read."""
    for _ in range(3):  # it may be read while it is written
        try:
            return LedgerStatus(**json.loads(path.read_text()))
        except (OSError, TypeError, ValueError, RecursionError):
            time.sleep(0.005)
    return None
