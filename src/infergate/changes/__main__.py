"""`python -m infergate.changes CONFIG`: what the supervisor starts for `infergate up --watch`."""

from __future__ import annotations

import sys
from pathlib import Path

from infergate.changes.follow import follow
from infergate.log import set_up_logging


def main() -> None:
    set_up_logging()
    follow(Path(sys.argv[1]))


main()
