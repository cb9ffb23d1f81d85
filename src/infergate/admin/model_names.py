"""Whether the models and services that a key may use are there at all."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from pydantic import Field

from infergate.admin.operation import Document
from infergate.config.policies import Grant
from infergate.config.root import Config
from infergate.control.report import read_inventories
from infergate.paths import Home
from infergate.state.routes import answered_names


class Unknown(Document):
    """What was granted and is not there."""

    unknown_models: list[str] = Field(
        [], description="Models that it may use and that nobody serves now: misspelt, perhaps."
    )
    unknown_services: list[str] = Field(
        [], description="Services that it may use and that the configuration does not have."
    )


def unknown(config: Config, home: Home, granted: Grant) -> dict[str, list[str]]:
    """The fields of Unknown, of what was said of models and services."""
    there = {*config.services, "*"}
    return {
        "unknown_models": unknown_models(config, home, granted.models),
        "unknown_services": [each for each in granted.services if each not in there],
    }


def unknown_models(config: Config, home: Home, wanted: Iterable[str]) -> list[str]:
    """Those of these names and patterns that fit nothing that is served. None, while backends have
    not told what they have."""
    names = answered_names(config, read_inventories(home.health))
    if not names:
        return []
    return [each for each in wanted if not any(fnmatchcase(name, each) for name in names)]
