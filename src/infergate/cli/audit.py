"""audit log: who changed what, and when."""

from __future__ import annotations

import itertools
import json
import shutil
import textwrap
import time
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli import hardening
from infergate.cli.options import ConfigOption, JsonOption, seconds_of
from infergate.cli.target import target

if TYPE_CHECKING:
    from infergate.admin.audit import AuditEntry


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
    """Show who changed keys, backends, the configuration."""
    from infergate.admin.audit import list_audit

    begin = 0 if since is None else max(0, int(time.time() - seconds_of(since, "--since")))
    pages = target(config).pages(list_audit, since=begin)
    newest_first = (entry for page in pages for entry in page.items)
    found = list(itertools.islice(newest_first, max(0, lines)))[::-1]
    if json_:
        print(json.dumps([each.model_dump() for each in found]))
        return
    width = shutil.get_terminal_size().columns  # 80, where nothing tells
    for each in found:
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.at))
        text = f"{clock}  {each.who}  {each.action}  {each.subject}{_difference(each)}"
        print("\n".join(textwrap.wrap(text, width, subsequent_indent=" " * 4)))


def _difference(entry: AuditEntry) -> str:
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
