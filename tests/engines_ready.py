"""`python -m tests.engines_ready`: bring the second engine before the tests need it."""

from __future__ import annotations

import sys

from infergate.engine.debian import install_debian_engine
from infergate.errors import EngineError
from tests.cache import ENGINES_HOME, SUITE

ENGINES_HOME.mkdir(parents=True, exist_ok=True)
try:
    install_debian_engine(ENGINES_HOME, print, waf=True, suite=SUITE)
except EngineError as problem:
    # Not every machine has apt. The tests on that engine are then skipped, with this reason.
    print(f"Debian's engine cannot be had here, its tests are skipped:\n{problem}", file=sys.stderr)
