"""The control plane as a process: niced, with what it loaded out of the collector's way."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

from infergate.control.plane import ControlPlane

NICE = 5
"""Where both want a core, nginx gets three quarters of it (sched(7): a step is a factor of 1.25):
what waits here is a count or a probe, what waits there is a client."""


def run(config: Path) -> None:
    """Until SIGTERM, or until the supervisor that started us is gone."""
    os.nice(NICE)
    gc.freeze()  # what is loaded stays; see infergate/__main__.py
    gc.enable()
    asyncio.run(ControlPlane(config).run())
