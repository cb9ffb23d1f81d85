"""`python -m infergate.control CONFIG`: what the supervisor starts when a control plane died."""

from __future__ import annotations

import gc
import sys
from pathlib import Path


def main() -> None:
    gc.disable()  # until all is loaded; see infergate/__main__.py
    from infergate.control.process import run

    run(Path(sys.argv[1]))


main()
