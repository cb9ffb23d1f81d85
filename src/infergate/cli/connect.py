"""connect: what to tell a program so that it asks this gateway."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from infergate.cli import complete
from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.target import target
from infergate.config.problems import did_you_mean
from infergate.errors import UserError


def register(app: typer.Typer) -> None:
    app.command()(connect)


def connect(
    client: Annotated[
        str | None, typer.Argument(help="Such as open-webui; without it, all are listed.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="INFERGATE_KEY", help="The secret to put in; never a new one."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model to put in.", autocompletion=complete.models)
    ] = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show what to tell a program, such as Open WebUI, so that it asks this gateway."""
    from infergate.admin.clients import CLIENTS, list_clients, settings
    from infergate.admin.models import list_models

    if client is None and json_:
        items = [{"name": name, "title": each.title} for name, each in CLIENTS.items()]
        print(json.dumps({"items": items}))
        return
    if client is None:
        for name, each in CLIENTS.items():
            print(f"{name:<14}{each.title}")
        return
    if client not in CLIENTS:
        raise UserError(
            f"{client!r} is not known here{did_you_mean(client, CLIENTS)}", hint=", ".join(CLIENTS)
        )
    it = target(config)
    if model is None:
        served = sorted(it.run(list_models, limit=1000).items, key=lambda each: each.embeds)
        model = served[0].name if served else "MODEL"
    url = it.run(list_clients).url
    told = settings(CLIENTS[client], url, key or "YOUR-KEY", model)
    if json_:
        print(json.dumps({"name": client, **vars(told)}))
        return
    print(f"# {told.title}: {told.where}")
    print(told.text, end="")
    if told.note:
        print(f"# {told.note}")
