"""Teams: whose keys are counted together, and who may share a budget."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.money import check_currency
from infergate.admin.operation import (
    AfterName,
    Document,
    Limit,
    Request,
    ThingName,
    Which,
    operation,
)
from infergate.admin.pages import page_of
from infergate.config.budgets import Budgets
from infergate.store import teams
from infergate.store.keys import all_keys


class TeamEntry(Document):
    """A team."""

    name: str
    budget: list[str] = Field(description="What its keys may use up together.")
    keys: int = Field(description="How many valid ones it has.")


class TeamPage(Document):
    """Teams by name."""

    items: list[TeamEntry]
    next: str | None


class TeamBudget(Request):
    """What a team's keys may use up together; nothing is without end."""

    budget: Budgets = Field([])


class NewTeam(TeamBudget):
    """A team to make."""

    name: ThingName


@operation("GET", "/teams")
def list_teams(gateway: Gateway, *, after: AfterName = "", limit: Limit = 100) -> TeamPage:
    """The teams, and how many valid keys each has."""
    valid = Counter(key.team for key in all_keys(gateway.database) if key.revoked_at is None)
    found = [
        TeamEntry(name=each.name, budget=list(each.budget), keys=valid[each.name])
        for each in teams.all_teams(gateway.database)
    ]
    items, following = page_of(found, lambda team: team.name, after, limit)
    return TeamPage(items=items, next=following)


@operation("POST", "/teams")
def create_team(gateway: Gateway, body: NewTeam) -> TeamEntry:
    """Make a team, for keys to belong to."""
    check_currency(body.budget, gateway.loaded)
    made = teams.create_team(gateway.database, body.name, body.budget)
    return TeamEntry(name=made.name, budget=list(made.budget), keys=0)


@operation("PUT", "/teams/{team}")
def set_team(gateway: Gateway, team: Which, body: TeamBudget) -> TeamBudget:
    """Give a team this budget instead of the one it has."""
    check_currency(body.budget, gateway.loaded)
    teams.set_team(gateway.database, team, body.budget)
    gateway.publish_keys()
    return TeamBudget(budget=body.budget)


class Removed(Document):
    """The team that was removed."""

    name: str


@operation("DELETE", "/teams/{team}")
def remove_team(gateway: Gateway, team: Which) -> Removed:
    """Forget a team that has no valid key."""
    teams.remove_team(gateway.database, team)
    return Removed(name=team)
