"""Infergate: one front door for a self-hosted AI stack."""

import sys

# httpx loads a command line of its own where it finds what that needs (rich, pygments): 70 ms for
# every process that asks a backend something. A module that is None counts as not installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
