"""status, ready, doctor, version: what is there and what happens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli import doctor
from infergate.cli.options import ConfigOption, JsonOption, print_version
from infergate.cli.target import target
from infergate.cli.unwell import UNWELL

if TYPE_CHECKING:
    from infergate.admin.readiness import ReadyModel


def register(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(ready)
    app.command()(doctor.doctor)
    app.command()(version)


def status(
    all_: Annotated[
        bool, typer.Option("--all", help="Every backend, where there are many.")
    ] = False,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show processes, backends and services with their states.

    The exit code is 3 if a process, a backend or a service is down, else 0.
    """
    from infergate.admin.status import status as ask_status
    from infergate.cli.status import is_well, print_status

    found = target(config, broken=True).run(ask_status).model_dump()
    if json_:
        print(json.dumps(found))
    else:
        print_status(found, everything=all_)
    if not is_well(found):
        raise typer.Exit(UNWELL)


def ready(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Say whether each model has a backend.

    Of all models, or those that health.ready names. Ends with 1 if not.
    """
    from infergate.admin.readiness import readiness
    from infergate.cli.rows import print_rows

    found = target(config).run(readiness)
    if json_:
        print(json.dumps(found.model_dump()))
    elif found.processes.nginx is None:
        print("Infergate is not running. `infergate up` starts it.")
    else:
        rows = [
            [each.model, "ready" if each.ready else "not ready", _why(each)]
            for each in found.models
        ]
        print_rows(["MODEL", "STATE", "BACKENDS"], rows)
    if not found.ready:
        raise typer.Exit(1)


def _why(model: ReadyModel) -> str:
    if not model.backends:
        return "none has it"
    return ", ".join(
        each.name if each.state == "up" else f"{each.name} {each.state} ({each.reason})"
        for each in model.backends
    )


def version(json_: JsonOption = False) -> None:
    """Print Infergate's version."""
    print_version(json_=json_)
