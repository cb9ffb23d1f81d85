"""Routes by what holds at the moment in which they are published, whatever comes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from infergate.config.load import LoadedConfig
from infergate.errors import Outdated
from infergate.health.inventory import Inventory
from infergate.paths import Home
from infergate.state.publish import publish_routes
from infergate.state.routes import compile_routes

_TRIES = 10
"""Each of them takes as long as another process has to change something once more."""


def publish_newest(
    home: Home,
    loaded: LoadedConfig,
    inventories: Mapping[str, Inventory],
    again: Callable[[], LoadedConfig],
) -> LoadedConfig:
    """Route by a configuration, or by what took its place; returns that.

    loaded: with what was put over it (in_force.bring_into_force). again: what holds now, with
        nginx's files brought to it; asked where `loaded` does not hold any more.
    Raises Outdated where that changes all the time, and what publish_routes and `again` raise.
    """
    for _ in range(_TRIES - 1):
        try:
            publish_routes(home, compile_routes(loaded.config, inventories), loaded)
        except Outdated:
            loaded = again()
        else:
            return loaded
    publish_routes(home, compile_routes(loaded.config, inventories), loaded)
    return loaded
