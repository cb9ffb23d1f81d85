"""`python -m infergate.supervise CONFIG [--demo=PORT] [--watch]`: what `infergate up` becomes.

With `--prepare` or `--prepare=adopt`, what that starts first (prepare.py).
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

from infergate.errors import InfergateError, of_machine
from infergate.shown import shown_text
from infergate.state_folder import home_for
from infergate.supervise.notify import READY, notify
from infergate.supervise.preparing import NotPrepared
from infergate.supervise.supervisor import supervise


def main() -> None:
    path = Path(sys.argv[1])
    try:
        if "--prepare" in sys.argv or "--prepare=adopt" in sys.argv:
            gc.disable()  # until all is loaded; see infergate/__main__.py
            from infergate.supervise.prepare import prepare_and_go_on

            prepare_and_go_on(path, adopt="--prepare=adopt" in sys.argv)
        else:
            _supervise(path)
    except NotPrepared as problem:
        sys.exit(problem.code)
    except InfergateError as problem:
        print(shown_text(str(problem)), file=sys.stderr)
        sys.exit(problem.exit_code)
    except OSError as problem:
        print(shown_text(str(of_machine(problem))), file=sys.stderr)
        sys.exit(InfergateError.exit_code)


def _supervise(path: Path) -> None:
    home = home_for(path)
    demo = [each.removeprefix("--demo=") for each in sys.argv if each.startswith("--demo=")]

    def ready() -> None:
        home.ready.write_text(str(os.getpid()))
        notify(READY, "STATUS=answering")

    asyncio.run(
        supervise(
            path,
            home,
            demo_port=next((int(port) for port in demo), None),
            follow="--watch" in sys.argv,
            ready=ready,
        )
    )


main()
