"""cache stats, purge: the answers that are kept to be given again."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from infergate.cli import complete
from infergate.cli.options import ConfigOption, JsonOption, counted
from infergate.cli.target import filled, target

app = typer.Typer(help="Answers that are kept to be given again.", no_args_is_help=True)


@app.command()
def stats(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show how many are kept, their room and their hits."""
    from infergate.admin.cache import show_cache

    said = target(config).run(show_cache).model_dump(exclude_none=True)
    if json_:
        print(json.dumps(said))
        return
    _show(said)


def _show(said: dict[str, Any]) -> None:
    from infergate.cli.rows import print_rows

    if "bytes" in said:
        print(f"{_mb(said['bytes'])} of {_mb(said['max_bytes'])} MB are used for models.")
    if said.get("models"):
        rows = [
            [name, *(f"{number:,}" for number in each.values()), _share(each)]
            for name, each in said["models"].items()
        ]
        head = ["MODEL", "ANSWERS", "STREAMS", "HITS", "MISSES", "HIT RATIO"]
        print_rows(head, rows, right_from=1)
    if said["services"]:
        rows = [
            [name, f"{each['files']:,}", _mb(each["bytes"]), _mb(each["max_bytes"])]
            for name, each in said["services"].items()
        ]
        print_rows(["SERVICE", "FILES", "MB", "OF MB"], rows, right_from=1)


def _mb(size: int) -> str:
    return f"{size / 2**20:.1f}".removesuffix(".0")


def _share(each: dict[str, int]) -> str:
    asked = each["hits"] + each["misses"]
    return f"{each['hits'] / asked:.0%}" if asked else ""


@app.command()
def purge(
    model: complete.OfModel = None,
    service: Annotated[str | None, typer.Option(help="Only this service's.")] = None,
    config: ConfigOption = None,
) -> None:
    """Forget them: from now on, backends and services are asked again."""
    from infergate.admin.cache import Purge, purge_cache

    gone = target(config).run(purge_cache, filled(Purge, model=model, service=service)).answers
    print(f"{counted(gone, 'answer')} will not be given again.")
