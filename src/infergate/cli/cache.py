"""cache stats, purge: the answers that are kept to be given again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, counted, load
from infergate.errors import UserError

if TYPE_CHECKING:
    from infergate.config.root import Config

app = typer.Typer(help="Answers that are kept to be given again.", no_args_is_help=True)


def _refuse_without(config: Config, where: str, model: str | None = None) -> None:
    caching = [name for name, each in config.models.items() if each.cache is not None]
    if not caching:
        raise UserError(
            "no model's answers are kept", where=where, hint="Give one a `cache:` (docs/cache.md)."
        )
    if model is not None and model not in config.models and "*" not in caching:
        raise UserError(f"there is no model {model!r}", where=where, hint=", ".join(caching))


@app.command()
def stats(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """How many are kept of each model, how much room they take, and how often they served."""
    from infergate.cli.rows import print_rows
    from infergate.nginx.purge import size_bytes
    from infergate.nginx.shared_memory import kept_answers, read

    loaded, home = load(config, quiet=True)
    _refuse_without(loaded.config, str(loaded.path))
    kept, served = kept_answers(home.socket), read(home.socket).kept
    models = {
        name: {
            "answers": kept.answers.get(name, 0),
            "streams": kept.streams.get(name, 0),
            "hits": served.get(name, (0, 0))[0],
            "misses": served.get(name, (0, 0))[1],
        }
        for name in sorted({*kept.answers, *kept.streams, *served})
    }
    size, room = size_bytes(home), loaded.config.cache.max_size
    if json_:
        print(json.dumps({"bytes": size, "max_bytes": room, "models": models}))
        return
    print(f"{size / 2**20:.1f} of {room / 2**20:.0f} MB are used.")
    if models:
        rows = [
            [name, *(f"{number:,}" for number in each.values()), _share(each)]
            for name, each in models.items()
        ]
        head = ["MODEL", "ANSWERS", "STREAMS", "HITS", "MISSES", "HIT RATIO"]
        print_rows(head, rows, right_from=1)


def _share(each: dict[str, int]) -> str:
    asked = each["hits"] + each["misses"]
    return f"{each['hits'] / asked:.0%}" if asked else ""


@app.command()
def purge(
    model: Annotated[str | None, typer.Option(help="Only this model's.")] = None,
    config: ConfigOption = None,
) -> None:
    """Forget them: from now on, backends are asked again."""
    from infergate.nginx.purge import purge as forget

    loaded, home = load(config, quiet=True)
    _refuse_without(loaded.config, str(loaded.path), model)
    gone = forget(home, model)
    print(f"{counted(gone, 'answer')} will not be given again.")
