"""Watches the budgets of the keys that are used, and stops those that are used up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from infergate.config.load import LoadedConfig
from infergate.control.budget_shares import write_uses
from infergate.errors import Outdated
from infergate.log import log
from infergate.paths import Home
from infergate.state.budgets import Budgeted, shares, used_up
from infergate.state.policy import BudgetBlock
from infergate.state.publish import budgeted_keys, publish_keys
from infergate.store.audit import newest
from infergate.store.database import Database
from infergate.store.teams import Team, all_teams


class BudgetWatch:
    """Which keys are stopped now. Used by the ledger's thread only."""

    def __init__(self, home: Home, database: Database, loaded: Callable[[], LoadedConfig]) -> None:
        self._home, self._database, self._loaded = home, database, loaded
        self._seen: tuple[LoadedConfig, int] | None = None
        self._keys: tuple[Budgeted, ...] = ()
        self._teams: tuple[Team, ...] = ()
        self._blocks: dict[str, BudgetBlock] | None = None

    def look(self, used: Iterable[str]) -> None:
        """Stop those of the used keys that have nothing left, and let those go on whose time has
        come. Raises StateError if the database or nginx cannot be asked."""
        seen = (self._loaded(), newest(self._database))
        if self._seen is None or seen[0] is not self._seen[0] or seen[1] != self._seen[1]:
            self._keys = tuple(budgeted_keys(seen[0], self._database))
            self._teams = tuple(team for team in all_teams(self._database) if team.budget)
            self._seen, self._blocks = seen, None
        now = time.time()
        shared = {team.name for team in self._teams}
        if self._blocks is None or any(block.until <= now for block in self._blocks.values()):
            blocks = used_up(self._database, self._keys, self._teams, now)
        else:
            names = set(used)
            teams = {key.team for key in self._keys if key.name in names} & shared
            concerned = [
                key for key in self._keys if (key.name in names and key.budget) or key.team in teams
            ]
            if not concerned:
                return
            those = {key.name for key in concerned}
            blocks = {name: each for name, each in self._blocks.items() if name not in those}
            some = [team for team in self._teams if team.name in teams]
            blocks |= used_up(self._database, concerned, some, now)
        if blocks != self._blocks:
            if self._blocks is not None or blocks:
                with suppress(Outdated):  # whoever takes over the new one publishes its keys
                    publish_keys(self._home, self._loaded(), self._database, if_active=True)
            for name in blocks.keys() - (self._blocks or {}).keys():
                log.info("a budget is used up", key=name, budget=blocks[name].what)
            self._blocks = blocks

    def report(self) -> None:
        """Leave word of how far budgets are used. Raises StateError."""
        found = shares(self._database, self._keys, self._teams, time.time())
        write_uses(self._home.budgets, found)
