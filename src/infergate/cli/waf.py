"""waf: what the firewall found."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import textwrap
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, counted, load


def register(app: typer.Typer) -> None:
    app.command()(waf)


def waf(
    lines: Annotated[
        int, typer.Option("-n", "--lines", help="How many rules, the first ones.")
    ] = 20,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show which rules of the firewall matched.

    And how to exclude one.
    """
    from infergate.nginx.waf import wanted
    from infergate.waf.report import sums

    loaded, home = load(config, quiet=True)
    text = ""
    with contextlib.suppress(FileNotFoundError):
        text = home.waf_log.read_text(errors="replace")
    found = sums(text.split("\n"))[:lines]
    if json_:
        print(json.dumps([dataclasses.asdict(each) for each in found]))
        return
    if not found:
        what = (
            "matched nothing yet" if wanted(loaded.config) else "is off (waf: detect turns it on)"
        )
        print(f"The firewall {what}.")
        return
    for each in found:
        where = f" in {each.where}" if each.where else ""
        seen = f"{counted(each.requests, 'request')}, {each.attacks} of them attacks"
        _print(f"{each.rule}  {each.message}{where}")
        _print(f"        {seen}; last {each.path} ({each.id})")
    first = found[0]
    target = f', target: "{first.where}"' if first.where else ""
    print("\nIf a rule is wrong about your traffic, exclude it, for all or for a service:")
    print(f"  exclude:\n    - {{ rule: {first.rule}, path: {first.path}{target} }}")


def _print(text: str) -> None:
    print(textwrap.fill(text, 80, subsequent_indent=" " * 8))
