"""What is read of a route as state/route.py compiles it for njs/route.js."""

from __future__ import annotations

import json


def backends_of(route: str) -> list[str]:
    """The names of its backends. Those that are alike have one entry in its list."""
    _, _, backends, _, names, *_ = json.loads(route)
    return names or [backend[0] for backend in backends]
