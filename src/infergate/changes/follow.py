"""Follows the configuration file and applies it whenever it changes, with the same proof.

It looks twice a second instead of being told: that also works on network and container mounts.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from infergate.config.load import load_config
from infergate.errors import InfergateError
from infergate.files import stamp
from infergate.log import log
from infergate.paths import Home
from infergate.state_folder import home_for
from infergate.supervise.followed import last_followed, note_followed

INTERVAL_S = 0.5
"""Between two looks. A change counts when the next look sees the same: editors write in pieces."""


def follow(path: Path) -> None:
    """Until SIGTERM, or until the supervisor that started us is gone.

    A file that cannot be applied is reported, once, and the configuration before stays active.
    """
    home, parent, stop = home_for(path), os.getppid(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    seen, before = last_followed(home), stamp(path)
    while not stop.wait(INTERVAL_S) and os.getppid() == parent:
        now = stamp(path)
        if now == before and now != seen:
            seen = now
            _note(home, seen)
            take(path, home)
        before = now


def _note(home: Home, seen: tuple[int, int, int] | None) -> None:
    try:
        note_followed(home, seen)
    except InfergateError as problem:  # it only means that a later start looks at the file again
        log.warning("what was followed last could not be noted", problem=str(problem))


def take(path: Path, home: Home) -> None:
    """Apply the file as it is now, and log what came of it."""
    from infergate.changes.apply import apply  # a third of a second, when there is something to do

    try:
        loaded = load_config(path)
        for warning in loaded.warnings:
            log.warning(str(warning))
        applied = apply(loaded, home)
    except InfergateError as problem:
        log.error("the file was not applied; what was before stays active", problem=str(problem))
    except Exception:
        log.exception("a fault of ours: the file was not applied")
    else:
        if applied.plan.kind != "nothing":
            log.info("the file is active", revision=applied.revision, change=applied.plan.kind)
