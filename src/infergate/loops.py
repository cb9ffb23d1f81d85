"""Loops that never end, each for itself: one that fails is started again, and no other with it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from infergate.backoff import STEADY_S, Backoff
from infergate.errors import InfergateError
from infergate.files import write_atomically
from infergate.log import log

_LONGEST_PROBLEM = 300


@dataclass(frozen=True)
class Failing:
    """A loop that failed lately.

    since: when it first did, Unix seconds. times: how often it has since then.
    """

    loop: str
    problem: str
    since: float
    times: int


class Loops:
    """Keeps loops running, and written down which of them fail.

    file: where that is left for `infergate status`; None writes nothing.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._failing: dict[str, Failing] = {}
        self._write()  # what an earlier process left there is over

    async def keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a loop, and again whenever it ends, until cancelled; later each time (backoff.py).

        name: what it does, for people. It counts as failing until it has gone well for STEADY_S.
        """
        try:
            await self._keep(name, loop)
        finally:
            if self._failing.pop(name, None) is not None:  # nobody wants it any more
                self._write()

    @asynccontextmanager
    async def running(
        self, loops: Mapping[str, Callable[[], Awaitable[None]]]
    ) -> AsyncIterator[None]:
        """Keep several, by their names, as long as this lasts."""
        tasks = [asyncio.create_task(self.keep(name, loop)) for name, loop in loops.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff()
        while True:
            began = time.monotonic()
            well = asyncio.get_running_loop().call_later(STEADY_S, self._goes_well, name)
            try:
                await loop()
                problem: Exception = RuntimeError("it ended")
            except Exception as fault:  # noqa: BLE001 - whatever it is: the others go on
                problem = fault
            finally:
                well.cancel()
            delay_s = backoff.after(time.monotonic() - began)
            log.error(
                "a loop failed and is started again", loop=name, in_s=delay_s, exc_info=problem
            )
            self._fails(name, problem)
            await asyncio.sleep(delay_s)

    def _fails(self, name: str, problem: Exception) -> None:
        before = self._failing.get(name)
        while isinstance(problem, ExceptionGroup):
            problem = problem.exceptions[0]
        said = f"{type(problem).__name__}: {problem}"[:_LONGEST_PROBLEM]
        if isinstance(problem, InfergateError):
            said = str(problem)[:_LONGEST_PROBLEM]
        since, times = (before.since, before.times) if before else (time.time(), 0)
        self._failing[name] = Failing(name, said, since, times + 1)
        self._write()

    def _goes_well(self, name: str) -> None:
        if self._failing.pop(name, None) is not None:
            log.info("a loop goes well again", loop=name)
            self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        try:
            write_atomically(self._file, json.dumps([asdict(e) for e in self._failing.values()]))
        except InfergateError as problem:
            log.error("which loops fail could not be written down", problem=str(problem))


def read_failing(file: Path) -> tuple[Failing, ...]:
    """The loops that fail; none where nobody has written any down."""
    try:
        return tuple(Failing(**each) for each in json.loads(file.read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        return ()
