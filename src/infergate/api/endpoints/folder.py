"""The folder of endpoints: which files are there, and which process has which path now."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.routing import compile_path

from infergate.api.endpoints.hosted import EndpointProblem, Process, started
from infergate.backoff import Backoff
from infergate.log import log

_LOOK_S = 0.3
_SAID = re.compile(r"""@endpoint\(\s*["'](\w+)["']\s*,\s*["']([^"']+)["']""")
"""What a file that cannot be loaded was to have."""
_READ = 1024**2
"""Characters of a file in which that is looked for."""

Stamp = tuple[int, int, int]


@dataclass(eq=False)
class FileOfEndpoints:
    """One file. problem: why it has no process. promised: (method, path) of what it was to have."""

    path: Path
    stamp: Stamp | None = None
    process: Process | None = None
    problem: EndpointProblem | None = None
    since: float = 0.0
    promised: list[tuple[str, str]] = field(default_factory=list)
    backoff: Backoff = field(default_factory=Backoff)
    due: float = 0.0


@dataclass(frozen=True)
class FoundEndpoint:
    """What a path leads to. endpoint: None where its file is disabled, or has another method."""

    file: FileOfEndpoints
    endpoint: Mapping[str, Any] | None
    allowed: frozenset[str]


class EndpointFolder:
    """Follows the folder, until cancelled."""

    def __init__(self, path: Path, told: Mapping[str, Any]) -> None:
        self._path, self._told = path, told
        self._files: dict[str, FileOfEndpoints] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.problem = ""

    @property
    def files(self) -> list[FileOfEndpoints]:
        return [self._files[name] for name in sorted(self._files)]

    async def follow(self) -> None:
        try:
            while True:
                await asyncio.gather(*(self._look(each) for each in self._there()))
                await asyncio.sleep(_LOOK_S)
        finally:
            for each in self._files.values():
                if each.process is not None:
                    await each.process.end()

    def _there(self) -> Iterator[FileOfEndpoints]:
        """Those of now; what is gone ends."""
        try:
            found = [each.name for each in self._path.iterdir()]
            self.problem = ""
        except OSError as problem:
            self.problem = f"{self._path} cannot be read: {problem.strerror}"
            return
        names = [each for each in found if each.endswith(".py") and each[0] not in "._"]
        for name in set(self._files) - set(names):
            self._leave(self._files.pop(name))
        for name in names:
            yield self._files.setdefault(name, FileOfEndpoints(self._path / name))

    async def _look(self, file: FileOfEndpoints) -> None:
        stamp = _stamp(file.path)
        if stamp != file.stamp:
            file.stamp, file.backoff = stamp, Backoff()
            await self._load(file)
        elif file.process is not None and file.process.process.returncode is not None:
            code = file.process.process.returncode
            log.warning("the process of endpoints ended", file=file.path.name, code=code)
            file.due = time.monotonic() + file.backoff.after(time.monotonic() - file.since)
            await file.process.end()
            file.process, file.problem = None, EndpointProblem(f"its process ended ({code})")
        elif file.due and time.monotonic() >= file.due:
            file.due = 0.0
            await self._load(file)

    async def _load(self, file: FileOfEndpoints) -> None:
        """Have a process of the file as it is now; the one before finishes what it has."""
        before = file.process
        try:
            if not file.path.is_file():  # to open a pipe would wait for whoever writes to it
                raise EndpointProblem("it is no file, or may not be read")
            file.process, file.problem = await started(file.path, self._told), None
            file.promised = [(e["method"], e["path"]) for e in file.process.endpoints]
            log.info("endpoints", file=file.path.name, paths=[each for _, each in file.promised])
        except EndpointProblem as problem:
            file.process, file.problem = None, problem
            file.promised = _promised(file.path) or file.promised
            log.error(
                "endpoints are disabled",
                file=f"{file.path.name}:{problem.line}",
                problem=problem.message,
            )
        file.since = time.monotonic()
        if before is not None:
            self._spawn(before.retire(max(each["timeout_s"] for each in before.endpoints)))

    async def replace(self, file: FileOfEndpoints, process: Process) -> None:
        """One that hangs: another takes what comes, and it goes with what it has."""
        if file.process is process and not process.retired:
            log.warning("the process of endpoints hangs and is replaced", file=file.path.name)
            process.retired = True
            if await process.is_alive():
                await self._load(file)
                return
            file.process = None
            await process.end()
            await self._load(file)

    def _leave(self, file: FileOfEndpoints) -> None:
        if file.process is not None:
            self._spawn(file.process.retire(max(e["timeout_s"] for e in file.process.endpoints)))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def find(self, method: str, path: str) -> FoundEndpoint | None:
        """The first file by name that has it; one that is disabled, if no other does."""
        disabled, others, of = None, set[str](), None
        for file in self.files:
            for its_method, its_path in file.promised:
                if not _fits(its_path, path):
                    continue
                if its_method != method:
                    others.add(its_method)
                    of = file
                elif file.process is None:
                    disabled = disabled or FoundEndpoint(file, None, frozenset())
                else:
                    said = file.process.endpoints
                    entry = next(e for e in said if (e["method"], e["path"]) == (method, its_path))
                    return FoundEndpoint(file, entry, frozenset())
        if disabled is not None or of is None:
            return disabled
        return FoundEndpoint(of, None, frozenset(others))


def _fits(template: str, path: str) -> bool:
    try:
        return compile_path(template)[0].match(path) is not None
    except (AssertionError, ValueError, re.error):
        return False


def _stamp(path: Path) -> Stamp:
    """All 0 where there is nothing, as behind a link to what is gone."""
    try:
        facts = path.stat()
    except OSError:
        return 0, 0, 0
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _promised(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        return []
    try:
        with path.open(errors="replace") as file:
            return _SAID.findall(file.read(_READ))
    except OSError:
        return []
