"""The API tier (docs/api.md): its sockets are held here, its processes begin when they are asked.

What it is started with is beside nginx's files of the active revision (nginx/tier.py), so that it
changes with them. A process that died is started again, later each time; callers wait in the
socket's queue meanwhile. It gets nothing of our environment, where keys of backends may be, and
under root it is the user that nginx's workers are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infergate.errors import EngineError
from infergate.log import log
from infergate.paths import Home
from infergate.supervise.child import Child, Sandbox
from infergate.supervise.tier_processes import TierProcesses
from infergate.supervise.tier_settings import tier_settings, tier_socket

_LOOK_S = 0.5
_CLOSED_WITHIN_S, _CLOSED_POLL_S = 5.0, 0.02
_FINISH_S, _LAST_S = 600.0, 3.0
"""How long a process that is replaced may take for what it has begun."""

_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
"""Of our environment: where Python is, and how it writes."""


@dataclass
class _Part:
    """Processes at one socket."""

    listener: socket.socket
    path: Path
    children: list[Child] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class ApiTier:
    """The tier of one gateway, or none."""

    def __init__(self, home: Home, processes: TierProcesses) -> None:
        """processes: where it is told how they are."""
        self._home, self._processes = home, processes
        self._seen: object = None
        self._told: Mapping[str, Any] | None = None
        self._parts: dict[str, _Part] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def keep_running(self) -> None:
        """Have what the active revision says, until cancelled."""
        try:
            while True:
                await self._follow()
                await asyncio.sleep(_LOOK_S)
        finally:
            for part in self._parts.values():
                for child in part.children:
                    child.end_s = _LAST_S  # nginx has finished: nobody waits
            for name in list(self._parts):
                self._end(name)
            await asyncio.gather(*self._ending, return_exceptions=True)

    async def _follow(self) -> None:
        try:
            active = self._home.current.readlink()
        except OSError:
            return
        if active == self._seen:
            return
        told = tier_settings(self._home)
        if told != self._told:
            before = _listening(self._parts.values())
            try:
                self._take(told)
            except (EngineError, KeyError) as problem:  # no such user any more, a socket in use
                log.error("the API tier does not run", problem=str(problem))
                return
            await _until_closed(before)
        self._seen, self._told = active, told
        self._processes.follows("api", str(active))

    def _take(self, told: Mapping[str, Any] | None) -> None:
        """Begin anew with these settings; what runs finishes what it has."""
        wanted = _commands(told, self._home) if told is not None else {}
        for name in list(self._parts):
            self._end(name, keep=name in wanted)
        if told is None:
            return
        for name, (short, path, module, count, at_once) in wanted.items():
            part = self._parts.get(name)
            if part is None:
                part = self._parts[name] = _Part(tier_socket(path, told["user"]), path)
            number = part.listener.fileno()
            command = ["-m", module, str(number), json.dumps({**told, **_places(self._home)})]
            for _ in range(count):
                child = Child(
                    name,
                    command,
                    self._home,
                    {},
                    inherited=[number],
                    sandbox=Sandbox(told["user"], _environment()),
                    end_s=_FINISH_S,
                    watched=self._processes.watch(short),
                )
                part.children.append(child)
                running = child.keep_running() if at_once else _once_asked(part.listener, child)
                part.tasks.append(asyncio.create_task(running))

    def _end(self, name: str, *, keep: bool = False) -> None:
        """Its processes go; keep: the socket stays for others."""
        part = self._parts[name]
        for child in part.children:
            if child.watched is not None:
                self._processes.forget(child.watched)
        for task in part.tasks:
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        part.tasks, part.children = [], []
        if not keep:
            part.listener.close()
            part.path.unlink(missing_ok=True)
            del self._parts[name]


def _listening(parts: Iterable[_Part]) -> list[tuple[int, str]]:
    """The process and the socket of each that takes requests."""
    return [
        (child.watched.process.pid, f"socket:[{os.fstat(part.listener.fileno()).st_ino}]")
        for part in parts
        for child in part.children
        if child.watched is not None and child.watched.process.pid is not None
    ]


async def _until_closed(before: Iterable[tuple[int, str]]) -> None:
    """Return when none of these takes requests any more, or after _CLOSED_WITHIN_S: each was told,
    and then closes its socket first. What runs an operator's code may do as it likes."""
    deadline = time.monotonic() + _CLOSED_WITHIN_S
    while time.monotonic() < deadline and any(_has(pid, what) for pid, what in before):
        await asyncio.sleep(_CLOSED_POLL_S)


def _has(pid: int, file: str) -> bool:
    try:
        return any(str(each.readlink()) == file for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it is gone, or another file of it
        return False


def _commands(
    told: Mapping[str, Any], home: Home
) -> Mapping[str, tuple[str, Path, str, int, bool]]:
    """Name → its short one, its socket, the module that serves it, how many of it, and whether it
    begins before it is asked: what is wrong with endpoints is to be seen at once."""
    found = {"the API tier": ("api", home.tier_socket, "infergate.api", told["workers"], False)}
    if told["endpoints"] is not None:
        found["the endpoints' process"] = (
            "endpoints",
            home.endpoints_socket,
            "infergate.api.endpoints",
            1,
            True,
        )
    return found


def _places(home: Home) -> Mapping[str, str]:
    return {"inner_socket": str(home.inner_socket)}


def _environment() -> Mapping[str, str]:
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


async def _once_asked(listener: socket.socket, child: Child) -> None:
    """Several wait for the same socket: each looks by itself."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    watched = os.dup(listener.fileno())
    loop.add_reader(watched, asked.set)
    try:
        await asked.wait()
    finally:
        loop.remove_reader(watched)
        with contextlib.suppress(OSError):
            os.close(watched)
    await child.keep_running()
