"""teams create, list, set, remove."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from infergate.cli.grants import check_currency
from infergate.cli.options import ConfigOption, JsonOption, load
from infergate.errors import KeyInputError

app = typer.Typer(help="Teams: whose keys are counted together.", no_args_is_help=True)

BudgetOption = Annotated[
    list[str] | None,
    typer.Option("--budget", help="What its keys may use up together, such as 50M-tokens/month."),
]


def _checked(budget: list[str] | None, currency: str) -> list[str]:
    from infergate.config.budgets import parse_budget

    texts = budget or []
    try:
        texts = [parse_budget(text).text for text in texts]
    except ValueError as problem:
        raise KeyInputError(str(problem), where="--budget") from None
    check_currency(texts, currency)
    return texts


@app.command()
def create(name: str, budget: BudgetOption = None, config: ConfigOption = None) -> None:
    """Make a team, for `keys create --team`."""
    from infergate.store.database import database_for
    from infergate.store.teams import create_team

    loaded, home = load(config, quiet=True)
    texts = _checked(budget, loaded.config.usage.currency)
    create_team(database_for(loaded.config, home), name, texts)
    print(f"Team {name!r} is there.")


@app.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show the teams and how many valid keys each has."""
    from infergate.cli.rows import print_rows
    from infergate.store.database import database_for
    from infergate.store.keys import all_keys
    from infergate.store.teams import all_teams

    loaded, home = load(config, quiet=True)
    database = database_for(loaded.config, home)
    keys = [key.team for key in all_keys(database) if key.revoked_at is None]
    teams = all_teams(database)
    if json_:
        print(
            json.dumps(
                [
                    {"name": each.name, "budget": each.budget, "keys": keys.count(each.name)}
                    for each in teams
                ]
            )
        )
        return
    if not teams:
        print("There are no teams. `infergate teams create NAME` makes one.")
        return
    rows = [
        (each.name, ", ".join(each.budget) or "-", str(keys.count(each.name))) for each in teams
    ]
    print_rows(("NAME", "BUDGET", "KEYS"), rows)


@app.command("set")
def set_(name: str, budget: BudgetOption = None, config: ConfigOption = None) -> None:
    """Change a team's budget; without --budget it has none from then on."""
    from infergate.state.publish import publish_keys
    from infergate.store.database import database_for
    from infergate.store.teams import set_team

    loaded, home = load(config, quiet=True)
    database = database_for(loaded.config, home)
    texts = _checked(budget, loaded.config.usage.currency)
    set_team(database, name, texts)
    publish_keys(home, loaded, database)
    print(f"The budget of {name!r} is {', '.join(texts) or 'without end'}.")


@app.command()
def remove(name: str, config: ConfigOption = None) -> None:
    """Forget a team that has no valid key."""
    from infergate.store.database import database_for
    from infergate.store.teams import remove_team

    loaded, home = load(config, quiet=True)
    remove_team(database_for(loaded.config, home), name)
    print(f"Team {name!r} is gone.")
