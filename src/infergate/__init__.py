"""Infergate: one front door for a self-hosted AI stack."""

import os
import sys

# httpx loads a command line of its own where it finds what that needs (rich, pygments): 70 ms for
# every process that asks a backend something. A module that is None counts as not installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

# pydantic looks for its plugins in every installed package: 20 ms, and code of others in ours.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
