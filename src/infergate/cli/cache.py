"""cache stats, purge: the answers that are kept to be given again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infergate.cli.options import ConfigOption, JsonOption, counted, load
from infergate.errors import UserError

if TYPE_CHECKING:
    from infergate.config.root import Config
    from infergate.paths import Home

app = typer.Typer(help="Answers that are kept to be given again.", no_args_is_help=True)


def _caching(config: Config, where: str) -> tuple[list[str], list[str]]:
    """The models and the services whose answers are kept."""
    models = [name for name, each in config.models.items() if each.cache is not None]
    services = [name for name, each in config.services.items() if each.cache is not None]
    if not models and not services:
        raise UserError(
            "no model's or service's answers are kept",
            where=where,
            hint="Give one a `cache:` (docs/cache.md).",
        )
    return models, services


@app.command()
def stats(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Show how many are kept, their room and their hits."""
    loaded, home = load(config, quiet=True)
    caching, services = _caching(loaded.config, str(loaded.path))
    said = _of_models(loaded.config, home) if caching else {}
    said["services"] = _of_services(loaded.config, home, services)
    if json_:
        print(json.dumps(said))
        return
    _show(said)


def _of_models(config: Config, home: Home) -> dict[str, Any]:
    from infergate.nginx.purge import FOLDER, size_bytes
    from infergate.nginx.shared_memory import kept_answers, read

    kept, served = kept_answers(home.socket), read(home.socket).kept
    return {
        "bytes": size_bytes(home.cache / FOLDER)[1],
        "max_bytes": config.cache.max_size,
        "models": {
            name: {
                "answers": kept.answers.get(name, 0),
                "streams": kept.streams.get(name, 0),
                "hits": served.get(name, (0, 0))[0],
                "misses": served.get(name, (0, 0))[1],
            }
            for name in sorted({*kept.answers, *kept.streams, *served})
        },
    }


def _of_services(config: Config, home: Home, names: list[str]) -> dict[str, Any]:
    from infergate.nginx.purge import service_folder, size_bytes

    found = {}
    for name in names:
        kept = config.services[name].cache
        files, size = size_bytes(service_folder(home, name))
        found[name] = {"files": files, "bytes": size, "max_bytes": kept.max_size if kept else 0}
    return found


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
    model: Annotated[str | None, typer.Option(help="Only this model's.")] = None,
    service: Annotated[str | None, typer.Option(help="Only this service's.")] = None,
    config: ConfigOption = None,
) -> None:
    """Forget them: from now on, backends and services are asked again."""
    from infergate.nginx.purge import purge as forget
    from infergate.nginx.purge import purge_service

    loaded, home = load(config, quiet=True)
    where = str(loaded.path)
    models, services = _caching(loaded.config, where)
    if model is not None and model not in loaded.config.models and "*" not in models:
        raise UserError(f"there is no model {model!r}", where=where, hint=", ".join(models))
    if service is not None and service not in services:
        hint = ", ".join(services) or "None has a `cache:` (docs/cache.md)."
        raise UserError(f"no files of {service!r} are kept", where=where, hint=hint)
    everything = model is None and service is None
    gone = 0
    if model is not None or (everything and models):
        gone += forget(home, model)
    for name in services:
        if everything or name == service:
            gone += purge_service(home, name)
    print(f"{counted(gone, 'answer')} will not be given again.")
