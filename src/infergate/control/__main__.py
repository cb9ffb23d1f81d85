"""`python -m infergate.control CONFIG`: what the supervisor starts."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path


def main() -> None:
    gc.disable()  # what is loaded now stays; see infergate/__main__.py
    from infergate.control.plane import ControlPlane
    from infergate.log import set_up_logging

    gc.freeze()
    gc.enable()
    set_up_logging()
    asyncio.run(ControlPlane(Path(sys.argv[1])).run())


main()
