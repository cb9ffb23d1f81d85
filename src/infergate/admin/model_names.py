"""Whether the models that a key may use are there at all."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from infergate.config.root import Config
from infergate.control.report import read_inventories
from infergate.paths import Home
from infergate.state.routes import answered_names


def unknown_models(config: Config, home: Home, wanted: Iterable[str]) -> list[str]:
    """Those of these names and patterns that fit nothing that is served. None, while backends have
    not told what they have."""
    names = answered_names(config, read_inventories(home.health))
    if not names:
        return []
    return [each for each in wanted if not any(fnmatchcase(name, each) for name in names)]
