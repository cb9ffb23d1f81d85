"""Where heavy things that tests need are kept between runs, outside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

from infergate.engine.debian_mirror import SUITE as TRIXIE

CACHE = Path(os.environ.get("INFERGATE_TEST_CACHE", "~/.cache/infergate-test")).expanduser()
SUITE = os.environ.get("INFERGATE_TEST_SUITE", TRIXIE)
"""The release of Debian whose nginx the tests run on. Of another than ours, on that nginx alone."""

ENGINES_HOME = CACHE / ("home" if SUITE == TRIXIE else f"home-{SUITE}")
"""A state folder whose engines/ holds Debian's nginx for all tests and benchmarks."""
