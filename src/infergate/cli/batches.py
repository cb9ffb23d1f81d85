"""batches list, show, cancel."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.rows import print_rows
from infergate.cli.target import target

app = typer.Typer(help="Batches of clients (docs/batches.md).", no_args_is_help=True)

BatchArgument = Annotated[str, typer.Argument(help="Its id.")]


@app.command("list")
def list_(
    last: Annotated[int, typer.Option(min=1, max=1000, help="So many of the newest.")] = 100,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show the batches of all keys, the newest first."""
    from infergate.admin.batches import list_batches

    found = target(config).run(list_batches, limit=last)
    if json_:
        print(json.dumps([each.model_dump() for each in found.items]))
    elif not found.items:
        print("There are no batches.")
    else:
        rows = [
            (
                each.id,
                each.status,
                each.key,
                each.endpoint,
                f"{each.completed} of {each.total}",
                str(each.failed),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(each.created_at)),
            )
            for each in found.items
        ]
        print_rows(("id", "status", "key", "endpoint", "done", "failed", "made"), rows)


@app.command()
def show(batch: BatchArgument, config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show all of one."""
    from infergate.admin.batches import show_batch

    found = target(config).run(show_batch, batch).model_dump()
    if json_:
        print(json.dumps(found))
        return
    for name, value in found.items():
        if name.endswith("_at") and value is not None:
            value = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
        if name != "errors" and value not in (None, {}):
            print_rows((f"{name}:".ljust(16), str(value)), [])
    for error in found["errors"]:
        line = "" if error.get("line") is None else f"line {error['line']}: "
        print_rows((f"error: {line}{error['message']}",), [])


@app.command()
def cancel(batch: BatchArgument, config: ConfigOption = None) -> None:
    """End one: what is answered stays."""
    from infergate.admin.batches import cancel_batch

    done = target(config).run(cancel_batch, batch)
    print(f"{done.id} ends: {done.completed} of {done.total} lines are answered.")
