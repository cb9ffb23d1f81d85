"""Follows the configuration file and applies it whenever it changes, with the same proof.

It looks twice a second instead of being told: that also works on network and container mounts.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import structlog

from infergate.config.load import LoadedConfig, load_config
from infergate.errors import InfergateError
from infergate.nginx.revisions import load_applied
from infergate.paths import Home, home_for

log = structlog.get_logger(__name__)

INTERVAL_S = 0.5
"""Between two looks. A change counts when the next look sees the same: editors write in pieces."""

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of each file; None for one that is not there."""


def follow(path: Path) -> None:
    """Until SIGTERM, or until the supervisor that started us is gone.

    A file that cannot be applied is reported, once, and the configuration before stays in force.
    """
    home, parent, stop = home_for(path), os.getppid(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    files = _files(load_applied(home, path))
    seen = before = _stamp(files)
    while not stop.wait(INTERVAL_S) and os.getppid() == parent:
        now = _stamp(files)
        if now == before and now != seen:
            files = _apply(path, home) or files
            now = seen = _stamp(files)
        before = now


def _apply(path: Path, home: Home) -> tuple[Path, ...] | None:
    """The files to follow from now on; None if the file was not applied."""
    from infergate.changes.apply import apply  # a third of a second, when there is something to do

    try:
        loaded = load_config(path)
        for warning in loaded.warnings:
            log.warning(str(warning))
        applied = apply(loaded, home)
    except InfergateError as problem:
        log.error("the file was not applied; what was before stays in force", problem=str(problem))
        return None
    except Exception:
        log.exception("a fault of ours: the file was not applied")
        return None
    if applied.plan.kind != "nothing":
        log.info("the file is in force", revision=applied.revision, change=applied.plan.kind)
    return _files(loaded)


def _files(loaded: LoadedConfig) -> tuple[Path, ...]:
    """What a configuration is made of: the YAML, and certificates that somebody else renews."""
    tls = loaded.config.tls
    if tls is None or tls.files is None:
        return (loaded.path,)
    return loaded.path, loaded.resolve(tls.files.certificate), loaded.resolve(tls.files.key)


def _stamp(files: tuple[Path, ...]) -> Stamp:
    return tuple(_facts(file) for file in files)


def _facts(file: Path) -> tuple[int, int, int] | None:
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
