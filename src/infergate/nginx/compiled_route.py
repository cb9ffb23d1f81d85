"""What is read of a route as state/route.py compiles it for njs/route.js."""

from __future__ import annotations

import json

from infergate.contract.route import Route, RouteBackend


def backends_of(route: str) -> list[str]:
    """The names of its backends. Those that are alike have one entry in its list."""
    places = json.loads(route)
    backends, names = places[Route.BACKENDS], places[Route.NAMES]
    return names or [backend[RouteBackend.NAME] for backend in backends]
