"""The process that makes all ready before nginx starts, as the supervisor sees it (prepare.py)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from infergate.paths import Home
from infergate.supervise.prepared import Prepared


class NotPrepared(Exception):
    """The gateway cannot be started; the process that was to prepare it has said why.

    code: what it ended with (errors.py).
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Preparing:
    """It, until it goes on as the control plane."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def prepared(self) -> Prepared:
        """What it says when all is ready. Raises NotPrepared if it ends before."""
        assert self._process.stdout is not None  # noqa: S101 - for mypy
        line = await self._process.stdout.readline()
        if line:
            return Prepared.from_json(line.decode())
        code = await self._process.wait()
        raise NotPrepared(code if code > 0 else 1)

    def go_on(self) -> Process:
        """Let it be the control plane: nginx answers."""
        assert self._process.stdin is not None  # noqa: S101 - for mypy
        self._process.stdin.write(b"\n")
        self._process.stdin.close()
        return self._process


@asynccontextmanager
async def preparing(
    path: Path, home: Home, environ: Mapping[str, str], *, adopt: bool
) -> AsyncIterator[Preparing]:
    """Start it; if what is done with it fails, it ends. adopt: an nginx runs already."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infergate.supervise", str(path)),
        "--prepare=adopt" if adopt else "--prepare",
        start_new_session=True,
        env={**os.environ, **environ},
        stdin=PIPE,
        stdout=PIPE,
        cwd=home.root,
    )
    try:
        yield Preparing(process)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
