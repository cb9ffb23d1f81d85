"""explain: why one request went where it went, from its line in the access log."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption
from infergate.cli.target import target
from infergate.shown import shown


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    request: Annotated[
        str, typer.Argument(help="x-infergate-request-id of the answer, or your x-request-id.")
    ],
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show why a request went where it went.

    The rule, the candidates' scores, waits, attempts, tokens.
    """
    from infergate.admin import requests

    found = target(config).run(requests.explain, request)
    print(json.dumps(found.entry, indent=2) if json_ else "\n".join(map(shown, found.told)))
