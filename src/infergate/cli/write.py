"""check, render, schema: what can be done with a configuration without running it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, counted, load
from infergate.cli.sites import warn_of_sites


def register(app: typer.Typer) -> None:
    app.command()(check)
    app.command()(render)
    app.command()(schema)


def check(config: ConfigOption = None) -> None:
    """Say everything that is wrong with a configuration.

    It asks no DNS and touches nothing.
    """
    from infergate.nginx.apply import test_elsewhere
    from infergate.nginx.engine import choose_engine
    from infergate.nginx.engine_facts import dotted
    from infergate.nginx.worker_user import worker_user

    loaded, home = load(config)
    warn_of_sites(loaded, home)
    worker_user(loaded.config, home)  # where it will run, and not in the scratch folder
    engine = choose_engine(loaded.config.engine, home.root).engine
    with tempfile.TemporaryDirectory(prefix="ig-") as folder:
        for note in test_elsewhere(loaded, engine, Path(folder)):
            print(f"note: {note}")
    gateway = loaded.config
    models = counted(len(gateway.models), "model") if gateway.models else "discovered models"
    print(
        f"{loaded.path.name} is good: {counted(len(gateway.backends), 'backend')}, {models}, "
        f"{counted(len(gateway.services), 'service')}; accepted by nginx "
        f"{dotted(engine.nginx_version)} ({engine.origin})."
    )


def render(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write into.")],
    config: ConfigOption = None,
) -> None:
    """Write the nginx configuration to a folder, to read it."""
    from infergate.nginx.apply import rendered
    from infergate.nginx.engine import choose_engine
    from infergate.nginx.render import write

    loaded, home = load(config)
    engine = choose_engine(loaded.config.engine, home.root).engine
    files = rendered(loaded, home, engine, 0)
    write(files, output)
    print(f"{len(files.files)} files in {output}; start reading at {output / 'nginx.conf'}.")


def schema() -> None:
    """Print the JSON Schema of infergate.yaml, for editors."""
    from infergate.config.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2))
