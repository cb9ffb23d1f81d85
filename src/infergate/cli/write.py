"""check, render, schema: what can be done with a configuration without running it."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, counted, load
from infergate.cli.progress import busy
from infergate.cli.sites import warn_of_sites

if TYPE_CHECKING:
    from infergate.config.load import LoadedConfig
    from infergate.config.problems import Finding
    from infergate.paths import Home


def register(app: typer.Typer) -> None:
    app.command()(check)
    app.command()(render)
    app.command()(schema)


def check(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """Say everything that is wrong with a configuration.

    It asks no DNS and touches nothing.
    """
    from infergate.certificates.files import expired_files
    from infergate.config.problems import ConfigError
    from infergate.control.groups import listed
    from infergate.engine.choose import choose_engine
    from infergate.engine.facts import dotted
    from infergate.live.apply import test_elsewhere
    from infergate.nginx.worker_user import worker_user
    from infergate.state.in_force import bring_into_force
    from infergate.state.keys_file import wrong_keys_file

    declared, home = load(config, as_written=True)
    groups = listed(declared, home)
    wrong: list[Finding] = [
        (("backends", name, "discover", "file"), group.problem)
        for name, group in groups.items()
        if group.problem is not None
    ]
    wrong += [*expired_files(declared), *wrong_keys_file(declared)]
    if wrong:
        raise ConfigError(declared.problems(wrong))
    for name, group in groups.items():
        if not group.backends:
            (empty,) = declared.problems([(("backends", name, "discover", "file"), "lists nobody")])
            print(f"warning: {empty}", file=sys.stderr)
    loaded = bring_into_force(declared, home, groups)
    _warn(loaded, home)
    worker_user(loaded.config, home)  # where it will run, and not in the scratch folder
    engine = choose_engine(loaded.config.engine, home.root).engine
    with tempfile.TemporaryDirectory(prefix="ig-") as folder, busy("nginx reads it"):
        notes = list(test_elsewhere(loaded, engine, Path(folder)))
    gateway = loaded.config
    if json_:
        document = {
            "file": str(loaded.path),
            "backends": len(gateway.backends),
            "models": len(gateway.models),
            "services": len(gateway.services),
            "engine": str(engine),
            "warnings": [str(each) for each in loaded.warnings],
            "notes": notes,
        }
        print(json.dumps(document))
        return
    for note in notes:
        print(f"note: {note}")
    models = counted(len(gateway.models), "model") if gateway.models else "discovered models"
    print(
        f"{loaded.path.name} is good: {counted(len(gateway.backends), 'backend')}, {models}, "
        f"{counted(len(gateway.services), 'service')}; accepted by nginx "
        f"{dotted(engine.nginx_version)} ({engine.origin})."
    )


def _warn(loaded: LoadedConfig, home: Home) -> None:
    """What does not keep it from taking effect, and may not be meant."""
    from infergate.certificates.files import doubtful_files
    from infergate.control.report import read_inventories
    from infergate.state.conflicts import conflicts

    warn_of_sites(loaded, home)
    for problem in loaded.problems(doubtful_files(loaded)):
        print(f"warning: {problem}", file=sys.stderr)
    for said in conflicts(loaded.config, read_inventories(home.health)):
        print(f"warning: {said}", file=sys.stderr)


def render(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write into.")],
    config: ConfigOption = None,
) -> None:
    """Write the nginx configuration to a folder, to read it."""
    from infergate.engine.choose import choose_engine
    from infergate.live.apply import rendered
    from infergate.nginx.rendered import write

    loaded, home = load(config)
    engine = choose_engine(loaded.config.engine, home.root).engine
    files = rendered(loaded, home, engine, 0)
    write(files, output)
    print(f"{len(files.files)} files in {output}; start reading at {output / 'nginx.conf'}.")


def schema() -> None:
    """Print the JSON Schema of infergate.yaml, for editors."""
    from infergate.config.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2))
