"""policies set, list, remove."""

from __future__ import annotations

import json
from typing import Any

import typer

from infergate.cli.grants import UnsetOption, grant_of, unset_fields, with_grant
from infergate.cli.options import ConfigOption, JsonOption, load

app = typer.Typer(help="Policies: what many keys may do, in one place.", no_args_is_help=True)


@app.command("set")
@with_grant
def set_(
    name: str,
    unset: UnsetOption = None,
    config: ConfigOption = None,
    *,
    allowed: dict[str, Any],
) -> None:
    """Make a policy, or change what is given for every key that has it."""
    from infergate.state.publish import publish_keys
    from infergate.store.database import database_for
    from infergate.store.policies import set_policy

    loaded, home = load(config, quiet=True)
    database = database_for(loaded.config, home)
    given = grant_of(allowed, loaded.config.usage.currency)
    set_policy(database, name, given, unset_fields(unset))
    publish_keys(home, loaded, database)
    print(f"Policy {name!r} holds now.")


@app.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show the policies and what each says."""
    from infergate.store.database import database_for
    from infergate.store.policies import all_policies

    loaded, home = load(config, quiet=True)
    found = {
        name: grant.model_dump(mode="json", exclude_unset=True)
        for name, grant in all_policies(database_for(loaded.config, home)).items()
    }
    if json_:
        print(json.dumps(found))
    elif not found:
        print("There are no policies. `infergate policies set NAME` makes one.")
    for name, says in () if json_ else found.items():
        print(f"{name}: {json.dumps(says, ensure_ascii=False)}")


@app.command()
def remove(name: str, config: ConfigOption = None) -> None:
    """Forget a policy that no valid key has."""
    from infergate.store.database import database_for
    from infergate.store.policies import remove_policy

    loaded, home = load(config, quiet=True)
    remove_policy(database_for(loaded.config, home), name)
    print(f"Policy {name!r} is gone.")
