"""waf: what the firewall found."""

from __future__ import annotations

import json
import textwrap
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, counted
from infergate.cli.target import target


def register(app: typer.Typer) -> None:
    app.command()(waf)


def waf(
    lines: Annotated[
        int, typer.Option("-n", "--lines", min=1, max=1000, help="How many rules, the first ones.")
    ] = 20,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show which rules of the firewall matched.

    And how to exclude one.
    """
    from infergate.admin.firewall import firewall

    said = target(config).run(firewall, limit=lines)
    if json_:
        print(json.dumps([each.model_dump() for each in said.items]))
        return
    if not said.items:
        what = "matched nothing yet" if said.on else "is off (waf: detect turns it on)"
        print(f"The firewall {what}.")
        return
    for each in said.items:
        where = f" in {each.where}" if each.where else ""
        seen = f"{counted(each.requests, 'request')}, {each.attacks} of them attacks"
        _print(f"{each.rule}  {each.message}{where}")
        _print(f"        {seen}; last {each.path} ({each.id})")
    first = said.items[0]
    where = f', target: "{first.where}"' if first.where else ""
    print("\nIf a rule is wrong about your traffic, exclude it, for all or for a service:")
    print(f"  exclude:\n    - {{ rule: {first.rule}, path: {first.path}{where} }}")


def _print(text: str) -> None:
    print(textwrap.fill(text, 80, subsequent_indent=" " * 8))
