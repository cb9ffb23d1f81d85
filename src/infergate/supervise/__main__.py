"""`python -m infergate.supervise CONFIG [DEMO_PORT]`: what `infergate up --detach` starts."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path


def main() -> None:
    gc.disable()  # until it goes on for long; see infergate/__main__.py
    from infergate.config.load import load_config
    from infergate.errors import InfergateError
    from infergate.log import set_up_logging
    from infergate.nginx.engine import choose_engine
    from infergate.paths import home_for
    from infergate.supervise.supervisor import supervise

    set_up_logging()
    path = Path(sys.argv[1])
    home = home_for(path)

    def ready() -> None:
        home.ready.write_text(str(os.getpid()))

    try:
        loaded = load_config(path)
        engine = choose_engine(loaded.config.engine, home.root).engine
        asyncio.run(
            supervise(
                loaded,
                home,
                engine,
                demo_port=int(sys.argv[2]) if len(sys.argv) > 2 else None,
                ready=ready,
            )
        )
    except InfergateError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)


main()
