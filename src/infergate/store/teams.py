"""Teams: names that keys belong to, whose usage is added up, and who may share a budget."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from infergate.errors import Conflict
from infergate.store.audit import note
from infergate.store.database import Database
from infergate.store.names import checked_name, unknown
from infergate.store.tables import keys, teams


@dataclass(frozen=True)
class Team:
    """A team. budget: texts (config/budgets.py) of what all its keys may use up together."""

    name: str
    budget: tuple[str, ...]
    created_at: int


def all_teams(database: Database) -> tuple[Team, ...]:
    """By name."""
    with database.read() as connection:
        rows = connection.execute(select(teams).order_by(teams.c.name)).all()
    return tuple(Team(row.name, tuple(json.loads(row.budget)), row.created_at) for row in rows)


def create_team(database: Database, name: str, budget: Sequence[str]) -> Team:
    """A new team. budget: checked already. Raises Conflict if the name is taken, KeyInputError
    if it is none."""
    team = Team(checked_name(name, "team"), tuple(budget), int(time.time()))
    values = {"name": name, "budget": json.dumps(team.budget), "created_at": team.created_at}
    with database.write() as connection:
        try:
            connection.execute(insert(teams).values(**values))
        except IntegrityError:
            raise Conflict(
                f"there is a team {name!r} already",
                hint=f"`infergate teams set {name}` changes its budget.",
            ) from None
        note(connection, "team.create", name, after={"budget": team.budget})
    return team


def set_team(database: Database, name: str, budget: Sequence[str]) -> None:
    """Give a team this budget instead of the one it has. Raises NotThere."""
    with database.write() as connection:
        known = {row.name: row.budget for row in connection.execute(select(teams))}
        if name not in known:
            raise unknown(name, "team", known, "`infergate teams list` shows them.")
        changed = update(teams).where(teams.c.name == name)
        connection.execute(changed.values(budget=json.dumps(list(budget))))
        before = {"budget": json.loads(known[name])}
        note(connection, "team.set", name, before=before, after={"budget": list(budget)})


def remove_team(database: Database, name: str) -> None:
    """Forget a team that no valid key belongs to. Raises NotThere, or Conflict if one does."""
    with database.write() as connection:
        known = connection.execute(select(teams.c.name)).scalars().all()
        if name not in known:
            raise unknown(name, "team", known, "`infergate teams list` shows them.")
        members = select(keys.c.name).where(keys.c.team == name, keys.c.revoked_at.is_(None))
        valid = connection.execute(members).scalars().all()
        if valid:
            shown = ", ".join(valid[:5]) + (", …" if len(valid) > 5 else "")
            raise Conflict(
                f"{name!r} still has keys: {shown}", hint="Revoke them first: infergate keys revoke"
            )
        connection.execute(update(keys).where(keys.c.team == name).values(team=None))
        connection.execute(delete(teams).where(teams.c.name == name))
        note(connection, "team.remove", name)
