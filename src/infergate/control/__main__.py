"""`python -m infergate.control CONFIG`: what the supervisor starts when a control plane died."""

from __future__ import annotations

import gc
import sys
from pathlib import Path


def main() -> None:
    gc.disable()  # until all is loaded; see infergate/__main__.py
    from infergate.control.process import run
    from infergate.log import set_up_logging

    set_up_logging()
    run(Path(sys.argv[1]))


main()
