"""For all tests: the processes they start take their bytecode from disk, and end with the run.

A gateway is several Python processes. Where PYTHONDONTWRITEBYTECODE is set, as in most containers,
each of them compiles Infergate anew, which takes longer than all else that it does to start.
"""

from __future__ import annotations

import os
import sys

from tests import reaper

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_REAPER = reaper.start()
