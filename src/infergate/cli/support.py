"""support-bundle: what somebody who helps needs to see, without secrets."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, counted, find_config
from infergate.cli.progress import busy
from infergate.state_folder import default_config, home_for


def register(app: typer.Typer) -> None:
    app.command("support-bundle")(support_bundle)


def support_bundle(
    file: Annotated[
        Path | None, typer.Argument(help="What to write; infergate-support-TIME.tar.gz here.")
    ] = None,
    lines: Annotated[
        int, typer.Option(help="Lines of each log, the last ones; 0 is none.", min=0, max=100_000)
    ] = 500,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Put what is needed to help with this gateway into a file, without its secrets.

    Settings, status, findings of the doctor, metrics, versions, nginx's files, last lines of the
    logs. No keys, tokens, passwords, private keys, prompts, clients' addresses. The gateway need
    not run.
    """
    from infergate.support.bundle import bundle

    path = find_config(config) or default_config().absolute()
    out = file or Path(time.strftime("infergate-support-%Y%m%d-%H%M%S.tar.gz"))
    with busy("collecting and redacting"):
        made = bundle(path, home_for(path), out, lines=lines)
    if json_:
        print(json.dumps({"file": str(made.file), "members": made.members}))
        return
    print(f"{made.file}: {counted(len(made.members), 'file')}. Only you can read it.")
    for name, size in made.members.items():
        print(f"  {size:>9,}  {name}")
    print("Read README.txt and what is in it before you give it away.")
