"""The gateway that operations act on: its configuration, its state folder, its database."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from infergate.config.load import LoadedConfig
from infergate.paths import Home

if TYPE_CHECKING:
    from infergate.store.database import Database


class Gateway:
    """One gateway of this machine."""

    def __init__(self, loaded: LoadedConfig, home: Home, *, keep: bool = False) -> None:
        """keep: connections to the database stay open, for a process that goes on."""
        self.loaded, self.home, self._keep = loaded, home, keep

    @cached_property
    def database(self) -> Database:
        """Opened at the first use: it takes half a second to load."""
        from infergate.store.database import database_for

        return database_for(self.loaded.config, self.home, keep=self._keep)

    def publish_keys(self) -> int:
        """Bring changed keys, policies or teams into force; returns how many keys are valid."""
        from infergate.state.publish import publish_keys

        return publish_keys(self.home, self.loaded, self.database)
