"""`python -m infergate.changes CONFIG`: what the supervisor starts for `infergate up --watch`.

With `--once`, what it starts when it is told to reload."""

from __future__ import annotations

import sys
from pathlib import Path

from infergate.changes.follow import follow, take
from infergate.state_folder import home_for


def main() -> None:
    path = Path(sys.argv[1])
    if "--once" in sys.argv:
        take(path, home_for(path))
    else:
        follow(path)


main()
