"""The gateway that operations act on: its configuration, its state folder, its database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from infergate.config.load import LoadedConfig
from infergate.live.revisions import current, load_applied
from infergate.paths import Home
from infergate.state.in_force import bring_into_force
from infergate.supervise.instance import nginx_master

if TYPE_CHECKING:
    from infergate.store.database import Database


class Gateway:
    """One gateway of this machine."""

    def __init__(
        self,
        declared: LoadedConfig,
        home: Home,
        *,
        keep: bool = False,
        said: Callable[[str], None] | None = None,
    ) -> None:
        """declared: its configuration without what discovery found and operators changed.
        keep: connections to the database stay open, for a process that goes on.
        said: is told the steps of what takes long, when they begin.
        """
        self.declared, self.home, self.said, self._keep = declared, home, said, keep

    @cached_property
    def loaded(self) -> LoadedConfig:
        """The configuration as it holds (config/in_force.py)."""
        return bring_into_force(self.declared, self.home)

    @cached_property
    def applied(self) -> LoadedConfig:
        """What nginx runs of the file, whatever is in it now; the file, while nothing runs."""
        if nginx_master(self.home) is None:
            return self.declared
        now = current(self.home)
        if now is not None and now.text == self.declared.text:
            return self.declared  # to read it once more takes a second where there is much of it
        return load_applied(self.home, self.declared.path)

    @cached_property
    def database(self) -> Database:
        """Opened at the first use: it takes half a second to load."""
        from infergate.store.database import database_for

        return database_for(self.declared.config, self.home, keep=self._keep)

    def publish_keys(self) -> int:
        """Activate changed keys, policies or teams; returns how many keys are valid. Those of a
        file that is not applied yet are not."""
        from infergate.state.publish import publish_keys

        return publish_keys(self.home, bring_into_force(self.applied, self.home), self.database)

    def end_keys(self, hashes: Iterable[str]) -> bool:
        """Have nginx refuse these keys at once; whether it runs and did (state/publish.py)."""
        from infergate.state.publish import end_keys

        return end_keys(self.home, hashes)
