"""A child process that is started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

import structlog

from infergate.paths import Home

log = structlog.get_logger(__name__)

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 10.0
_STEADY_S = 30.0
"""A child that lived this long is not failing; its next start waits the shortest time again."""


class Backoff:
    """How long to wait before the next start: doubling, up to ten seconds."""

    def __init__(self) -> None:
        self._delay_s = _FIRST_DELAY_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a child that lived that long."""
        if lived_s > _STEADY_S:
            self._delay_s = _FIRST_DELAY_S
        delay_s, self._delay_s = self._delay_s, min(self._delay_s * 2, _LONGEST_DELAY_S)
        return delay_s


class Child:
    """One Python process of ours, in a session of its own, so that Ctrl-C reaches only us."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        home: Home,
        environ: Mapping[str, str],
        *,
        inherited: Sequence[int] = (),
    ) -> None:
        """inherited: file descriptors that it gets, under the same numbers."""
        self.name = name
        self._home, self._inherited = home, inherited
        self._command = [sys.executable, *arguments]
        self._environ = {**os.environ, **environ}
        self._process: asyncio.subprocess.Process | None = None

    async def keep_running(self, process: asyncio.subprocess.Process | None = None) -> None:
        """Start it, and again whenever it ends, until cancelled; then end it too.

        process: one that runs already.
        """
        backoff = Backoff()
        self._process = process
        try:
            while True:
                began = time.monotonic()
                try:
                    if process is None:
                        self._process = await asyncio.create_subprocess_exec(
                            *self._command,
                            start_new_session=True,
                            env=self._environ,
                            stdin=asyncio.subprocess.DEVNULL,
                            cwd=self._home.root,
                            pass_fds=self._inherited,
                        )
                    else:
                        self._process, process = process, None
                    code: object = await self._process.wait()
                except OSError as problem:  # no memory or no process to be had, for now
                    code = str(problem)
                delay_s = backoff.after(time.monotonic() - began)
                log.warning(f"{self.name} ended and is started again", code=code, in_s=delay_s)
                await asyncio.sleep(delay_s)
        finally:
            await self._end()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), timeout=5)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
