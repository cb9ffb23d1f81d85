"""A child process that is started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infergate.backoff import Backoff
from infergate.log import log
from infergate.paths import Home
from infergate.supervise.tier_processes import Watched

_END_S = 5.0


@dataclass(frozen=True)
class Sandbox:
    """What a process gets that is to have nothing of ours. user: None for our own."""

    user: str | None
    environ: Mapping[str, str]


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
        sandbox: Sandbox | None = None,
        end_s: float = _END_S,
        watched: Watched | None = None,
    ) -> None:
        """inherited: file descriptors that it gets, under the same numbers. sandbox: instead of our
        user and environment. end_s: how long it may take to end. watched: is told how it is."""
        self.end_s, self.watched = end_s, watched
        self.name = name
        self._home, self._inherited = home, inherited
        self._command = [sys.executable, *arguments]
        self._user: dict[str, Any] = {}
        self._environ = {**os.environ, **environ}
        if sandbox is not None:
            self._environ = dict(sandbox.environ)
            if sandbox.user is not None:
                group = pwd.getpwnam(sandbox.user).pw_gid
                self._user = {"user": sandbox.user, "group": group, "extra_groups": []}
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
                        self._process = await self._start()
                    else:
                        self._process, process = process, None
                    if self.watched is not None:
                        self.watched.began(self._process.pid)
                    code: object = await self._process.wait()
                except OSError as problem:  # no memory or no process to be had, for now
                    code = str(problem)
                if self.watched is not None:
                    self.watched.ended(code)
                delay_s = backoff.after(time.monotonic() - began)
                log.warning(f"{self.name} ended and is started again", code=code, in_s=delay_s)
                await asyncio.sleep(delay_s)
        finally:
            await self._end()

    async def run(self) -> None:
        """Start it once, and wait until it ends; it says itself what it did."""
        try:
            self._process = await self._start()
            await self._process.wait()
        except OSError as problem:
            log.error(f"{self.name} could not be started", problem=str(problem))
        finally:
            await self._end()

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            start_new_session=True,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            cwd=self._home.root,
            pass_fds=self._inherited,
            **self._user,
        )

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), timeout=self.end_s)
        except (TimeoutError, asyncio.CancelledError):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
