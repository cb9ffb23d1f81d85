"""audit log: who changed what, and when."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli import hardening
from infergate.cli.options import ConfigOption, JsonOption, load
from infergate.errors import UserError

if TYPE_CHECKING:
    from infergate.store.audit import Entry


app = typer.Typer(invoke_without_command=True)
app.callback()(hardening.audit)


@app.command()
def log(
    since: Annotated[
        str | None, typer.Option(help="Only what happened in this time, such as 1h or 7d.")
    ] = None,
    lines: Annotated[int, typer.Option("-n", "--lines", help="How many, the last ones.")] = 50,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show who changed keys, teams, policies, backends and the configuration."""
    from infergate.config.types import seconds
    from infergate.store.audit import entries
    from infergate.store.database import database_for

    loaded, home = load(config, quiet=True)
    try:
        begin = 0.0 if since is None else time.time() - seconds(since)
    except ValueError as problem:
        raise UserError(str(problem), where="--since") from None
    found = entries(database_for(loaded.config, home), since=begin, last=lines)
    if json_:
        print(json.dumps([dataclasses.asdict(each) for each in found]))
        return
    for each in found:
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.at))
        print(f"{clock}  {each.who}  {each.action}  {each.subject}{_difference(each)}")


def _difference(entry: Entry) -> str:
    before, after = entry.before or {}, entry.after or {}
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    shown = [
        f"{name}: {json.dumps(before.get(name))} → {json.dumps(after.get(name))}"
        if before
        else f"{name}: {json.dumps(after.get(name))}"
        for name in changed
        if name not in ("id", "created_at")
    ]
    return "  " + ", ".join(shown) if shown else ""
