"""Whether what a key names is there at all: models, services, guardrails."""

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
    unknown_guardrails: list[str] = Field(
        [],
        description="Guardrails that it has to pass and that the configuration does not have: "
        "every request of it is 503.",
    )


def unknown(config: Config, home: Home, granted: Grant) -> dict[str, list[str]]:
    """The fields of Unknown."""
    there = {*config.services, "*"}
    return {
        "unknown_models": unknown_models(config, home, granted.models),
        "unknown_services": [each for each in granted.services if each not in there],
        "unknown_guardrails": [
            each for each in granted.guardrails if each not in config.guardrails
        ],
    }


def unknown_models(config: Config, home: Home, wanted: Iterable[str]) -> list[str]:
    """Those of these names and patterns that fit nothing that is served. None, while backends have
    not told what they have."""
    names = answered_names(config, read_inventories(home.health))
    if not names:
        return []
    return [each for each in wanted if not any(fnmatchcase(name, each) for name in names)]
