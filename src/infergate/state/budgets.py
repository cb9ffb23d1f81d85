"""Which keys have used up a budget, their own or their team's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from infergate.config.budgets import Budget, Window, parse_budget, window_of
from infergate.state.policy import BudgetBlock
from infergate.store.database import Database
from infergate.store.teams import Team
from infergate.store.usage import Period, Spent, spent


@dataclass(frozen=True)
class Budgeted:
    """A key as far as budgets go.

    since: when it was made, Unix seconds: what an earlier key of this name used is not its own.
    valid: a revoked key's usage still counts for its team.
    """

    name: str
    budget: tuple[str, ...] = ()
    team: str | None = None
    since: int = 0
    valid: bool = True


@dataclass(frozen=True)
class Share:
    """How much of one budget is used. key or team: whose it is. ends: when it begins anew."""

    budget: Budget
    used: int
    ends: int
    key: str = ""
    team: str = ""

    @property
    def ratio(self) -> float:
        return self.used / self.budget.amount if self.budget.amount else 1.0


def used_up(
    database: Database, keys: Iterable[Budgeted], teams: Iterable[Team], now: float
) -> dict[str, BudgetBlock]:
    """The valid keys that have a budget which is used up, by name; of several, the one that lasts
    longest."""
    all_keys = list(keys)
    blocks: dict[str, BudgetBlock] = {}
    for share in shares(database, all_keys, teams, now):
        if share.used < share.budget.amount:
            continue
        if share.key:
            _block(blocks, share.key, BudgetBlock(share.budget.text, share.ends))
            continue
        block = BudgetBlock(f"{share.budget.text} (team {share.team})", share.ends)
        for key in all_keys:
            if key.team == share.team:
                _block(blocks, key.name, block)
    return blocks


def shares(
    database: Database, keys: Iterable[Budgeted], teams: Iterable[Team], now: float
) -> list[Share]:
    """Of each budget of a valid key, and of a team that has keys."""
    own: dict[Window, list[Budgeted]] = defaultdict(list)
    members: dict[str, list[Budgeted]] = defaultdict(list)
    for key in keys:
        if key.team is not None:
            members[key.team].append(key)
        for window in {parse_budget(text).window for text in key.budget if key.valid}:
            own[window].append(key)
    shared = [team for team in teams if team.budget and members[team.name]]
    if not own and not shared:
        return []
    found = []
    with database.read() as connection:
        for window, concerned in own.items():
            began, ends = window_of(window, now)
            used = _spent(connection, concerned, began)
            for key in concerned:
                for budget in _of(window, key.budget):
                    number = _used(budget, [used.get(key)])
                    found.append(Share(budget, number, ends, key=key.name))
        for team in shared:
            names = {key.name for key in members[team.name]}
            for budget in map(parse_budget, team.budget):
                began, ends = window_of(budget.window, now)
                together = spent(connection, _period(began), began, names)
                number = _used(budget, together.values())
                found.append(Share(budget, number, ends, team=team.name))
    return found


def _period(began: int) -> Period:
    return "h" if began % 86400 else "d"


def _spent(
    connection: Connection, keys: Iterable[Budgeted], began: int
) -> Mapping[Budgeted, Spent]:
    """By the hour for keys that are younger than the window."""
    ways: dict[tuple[Period, int], list[Budgeted]] = defaultdict(list)
    for key in keys:
        young = key.since > began
        ways["h" if young else _period(began), key.since // 3600 * 3600 if young else began].append(
            key
        )
    found: dict[Budgeted, Spent] = {}
    for (period, since), those in ways.items():
        used = spent(connection, period, since, {key.name for key in those})
        found.update({key: used[key.name] for key in those if key.name in used})
    return found


def _of(window: Window, texts: Sequence[str]) -> list[Budget]:
    return [each for each in map(parse_budget, texts) if each.window == window]


def _used(budget: Budget, used: Iterable[Spent | None]) -> int:
    name = "cost" if budget.currency else budget.what
    return sum(int(getattr(each, name)) for each in used if each is not None)


def _block(blocks: dict[str, BudgetBlock], name: str, block: BudgetBlock) -> None:
    known = blocks.get(name)
    if known is None or known.until < block.until:
        blocks[name] = block
