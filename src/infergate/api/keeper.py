"""What processes have in common that keep something for clients: there is one of each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from infergate.files import locked_now

_LOOK_S = 0.2


@contextlib.asynccontextmanager
async def alone(folder: Path) -> AsyncIterator[None]:
    """Whoever had this folder until now has given it up: a supervisor that was killed leaves its
    processes for a moment."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = os.getppid()
    while os.getppid() == parent:
        with locked_now(folder / ".lock") as held:
            if held:
                yield
                return
        await asyncio.sleep(_LOOK_S)
    sys.exit(0)
