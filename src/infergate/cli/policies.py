"""policies set, list, remove."""

from __future__ import annotations

import json
from typing import Any

import typer

from infergate.cli.grants import UnsetOption, grant_of, unset_fields, warn_of_unknown, with_grant
from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.target import filled, target

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
    from infergate.admin import policies

    said = grant_of(allowed).model_dump(exclude_unset=True)
    body = filled(policies.PolicyChange, **said, unset=sorted(unset_fields(unset)))
    changed = target(config).run(policies.change_policy, name, body)
    print(f"Policy {name!r} holds now.")
    warn_of_unknown(changed)


@app.command("list")
def list_(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show the policies and what each says."""
    from infergate.admin import policies

    found = {
        each.name: each.allowed.model_dump(mode="json", exclude_unset=True)
        for page in target(config).pages(policies.list_policies)
        for each in page.items
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
    from infergate.admin import policies

    target(config).run(policies.remove_policy, name)
    print(f"Policy {name!r} is gone.")
