"""Another engine for the nginx that runs: asked for by a command, done by the supervisor.

The command leaves what it wants in a file and wakes the supervisor, whose child nginx is. A start
that fails is undone at once; what comes to light later, the command undoes by asking again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from infergate.errors import ApplyError, EngineError, NotRunning
from infergate.files import write_atomically
from infergate.log import log
from infergate.paths import Home
from infergate.supervise.instance import running
from infergate.supervise.nginx_process import NginxProcess

WAKE = signal.SIGUSR2
_DONE_WITHIN_S = 60.0
_POLL_S = 0.05


@dataclass(frozen=True)
class EngineWanted:
    """argv: what starts nginx. revision: its folder, relative to the state folder."""

    argv: tuple[str, ...]
    revision: str


def change_engine(home: Home, wanted: EngineWanted) -> None:
    """Have the supervisor run this engine on this revision; returns when it answers.

    Raises NotRunning without a supervisor, ApplyError if it did not start: the one before runs.
    """
    supervisor = running(home).supervisor
    if supervisor is None:
        raise NotRunning("the gateway is not running", where=str(home.root))
    _told(home).unlink(missing_ok=True)
    write_atomically(_asked(home), json.dumps(asdict(wanted)))
    os.kill(supervisor, WAKE)
    deadline = time.monotonic() + _DONE_WITHIN_S
    while not _told(home).exists():
        if time.monotonic() > deadline:
            raise ApplyError("the supervisor did not change the engine in time")
        time.sleep(_POLL_S)
    problem = _told(home).read_text()
    if problem:
        raise ApplyError(f"the new nginx did not start; the one before runs: {problem}")


async def follow_requests(home: Home, nginx: NginxProcess, woken: asyncio.Event) -> None:
    """Do what commands ask for, whenever one wakes the supervisor."""
    while True:
        await woken.wait()
        woken.clear()
        try:
            asked = json.loads(_asked(home).read_text())
            wanted = EngineWanted(tuple(asked["argv"]), asked["revision"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
            log.error("nobody said which engine is wanted", problem=str(problem))
            continue
        write_atomically(_told(home), await _change(home, nginx, wanted))


async def _change(home: Home, nginx: NginxProcess, wanted: EngineWanted) -> str:
    """What went wrong; "" if it runs."""
    before = EngineWanted(nginx.argv, str(home.current.readlink()))
    _point(home, wanted.revision)
    try:
        await nginx.replace(wanted.argv)
    except EngineError as problem:
        log.error("another engine did not start; the one before runs on", problem=str(problem))
        _point(home, before.revision)
        await nginx.replace(before.argv)
        return str(problem)
    log.info("another engine runs", argv=wanted.argv, pid=nginx.pid)
    return ""


def _point(home: Home, revision: str) -> None:
    """As live/revisions.py, which takes long to load, switches."""
    temporary = home.root / ".current"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(revision)
    temporary.replace(home.current)


def _asked(home: Home) -> Path:
    return home.run / "engine.wanted"


def _told(home: Home) -> Path:
    return home.run / "engine.told"
