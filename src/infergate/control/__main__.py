"""`python -m infergate.control CONFIG`: what the supervisor starts."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from infergate.control.plane import ControlPlane
from infergate.log import set_up_logging


def main() -> None:
    set_up_logging()
    asyncio.run(ControlPlane(Path(sys.argv[1])).run())


main()
