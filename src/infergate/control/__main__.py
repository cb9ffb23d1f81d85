"""`python -m infergate.control CONFIG`: what the supervisor starts."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

NICE = 5
"""Where both want a core, nginx gets three quarters of it (sched(7): a step is a factor of 1.25):
what waits here is a count or a probe, what waits there is a client."""


def main() -> None:
    os.nice(NICE)
    gc.disable()  # what is loaded now stays; see infergate/__main__.py
    from infergate.control.plane import ControlPlane
    from infergate.log import set_up_logging

    gc.freeze()
    gc.enable()
    set_up_logging()
    asyncio.run(ControlPlane(Path(sys.argv[1])).run())


main()
