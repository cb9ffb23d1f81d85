"""teams create, list, set, remove."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.target import target
from infergate.errors import KeyInputError

app = typer.Typer(help="Teams: whose keys are counted together.", no_args_is_help=True)

BudgetOption = Annotated[
    list[str] | None,
    typer.Option("--budget", help="What its keys may use up together, such as 50M-tokens/month."),
]


def _checked(budget: list[str] | None) -> list[str]:
    from infergate.config.budgets import parse_budget

    try:
        return [parse_budget(text).text for text in budget or []]
    except ValueError as problem:
        raise KeyInputError(str(problem), where="--budget") from None


@app.command()
def create(name: str, budget: BudgetOption = None, config: ConfigOption = None) -> None:
    """Make a team, for `keys create --team`."""
    from infergate.admin import teams

    target(config).run(teams.create_team, teams.NewTeam(name=name, budget=_checked(budget)))
    print(f"Team {name!r} is there.")


@app.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show the teams and how many valid keys each has."""
    from infergate.admin import teams
    from infergate.cli.rows import print_rows

    found = [each for page in target(config).pages(teams.list_teams) for each in page.items]
    if json_:
        print(json.dumps([each.model_dump() for each in found]))
        return
    if not found:
        print("There are no teams. `infergate teams create NAME` makes one.")
        return
    rows = [(each.name, ", ".join(each.budget) or "-", str(each.keys)) for each in found]
    print_rows(("NAME", "BUDGET", "KEYS"), rows)


@app.command("set")
def set_(name: str, budget: BudgetOption = None, config: ConfigOption = None) -> None:
    """Change a team's budget; without --budget it has none from then on."""
    from infergate.admin import teams

    texts = _checked(budget)
    target(config).run(teams.set_team, name, teams.TeamBudget(budget=texts))
    print(f"The budget of {name!r} is {', '.join(texts) or 'without end'}.")


@app.command()
def remove(name: str, config: ConfigOption = None) -> None:
    """Forget a team that has no valid key."""
    from infergate.admin import teams

    target(config).run(teams.remove_team, name)
    print(f"Team {name!r} is gone.")
