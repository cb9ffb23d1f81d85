"""Which backends the active revision has: nginx's files are a superset of what is routed to, so
taking a backend out or changing its share needs no reload, and putting one in does."""

from __future__ import annotations

import json
from collections.abc import Mapping

from infergate.config.backends import Backend
from infergate.config.root import Config
from infergate.paths import Home

FILE = "backends.json"
"""Beside the rendered files of a revision."""


def known(config: Config) -> str:
    """What FILE says of a revision: each backend, as far as nginx's files depend on it."""
    return json.dumps({name: _seen(each) for name, each in config.backends.items()}, indent=1)


def missing(config: Config, home: Home) -> tuple[str, ...]:
    """The backends that nginx does not have yet, or has otherwise."""
    try:
        there: Mapping[str, object] = json.loads((home.current / FILE).read_text())
        there = dict(there)
    except (OSError, ValueError, TypeError, RecursionError):
        there = {}  # nginx gets them anew
    return tuple(name for name, each in config.backends.items() if there.get(name) != _seen(each))


def _seen(backend: Backend) -> dict[str, object]:
    return {"url": backend.url, "verify_tls": backend.verify_tls}
