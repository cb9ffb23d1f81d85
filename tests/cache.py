"""Where heavy things that tests need are kept between runs, outside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = Path(os.environ.get("INFERGATE_TEST_CACHE", "~/.cache/infergate-test")).expanduser()
ENGINES_HOME = CACHE / "home"
"""A state folder whose engines/ holds Debian's nginx for all tests and benchmarks."""
