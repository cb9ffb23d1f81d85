"""doctor: what is wrong with a gateway and its machine, and the cure."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.backend_table import lines_about
from infergate.cli.checks import print_check
from infergate.cli.options import ConfigOption, JsonOption, counted, find_config
from infergate.cli.progress import busy
from infergate.cli.unwell import UNWELL
from infergate.errors import InfergateError
from infergate.state_folder import default_config, home_for

if TYPE_CHECKING:
    from pathlib import Path

    from infergate.engine.facts import Engine
    from infergate.paths import Home

_TELLING = ("http_ssl", "http_v2", "http_v3", "stub_status", "brotli", "modsecurity")


def doctor(
    all_: Annotated[bool, typer.Option("--all", help="Show what is good, too.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no backend and no name server.")
    ] = False,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Say what is wrong with the gateway and its machine, and the cure.

    It changes nothing, and needs no gateway that runs. The exit code is 3 if something is
    wrong that matters (high, medium), else 0.
    """
    from infergate.doctor.examine import examine, is_well
    from infergate.engine.choose import find_engines
    from infergate.hardening.check import worst_first

    path = find_config(config)
    home = home_for(path or default_config().absolute())
    with busy("looking at the gateway, its machine and its backends"):
        checks = worst_first(examine(path, home, offline=offline))
        engines = find_engines(home.root)
    well, notes = is_well(checks), _changed_by_hand(path, home)
    if json_:
        document = {
            "well": well,
            "checks": [asdict(each) for each in checks],
            "notes": notes,
            "engines": [_as_json(each) for each in engines],
            "home": str(home.root),
        }
        print(json.dumps(document))
    else:
        for each in checks:
            if all_ or each.outcome != "good":
                print_check(each)
        for note in notes:
            print(f"note    {note}")
        good = sum(each.outcome == "good" for each in checks)
        hidden = "" if all_ else " (--all shows them)"
        print(f"\n{counted(good, 'check')} found nothing wrong{hidden}.\n")
        _print_engines(engines)
        print(f"State folder: {home.root}")
    if not well:
        raise typer.Exit(UNWELL)


def _changed_by_hand(path: Path | None, home: Home) -> list[str]:
    """What the file does not say, and how it is undone."""
    from infergate.config.load import load_config
    from infergate.operate.backend_list import backend_list

    if path is None:
        return []
    try:
        return list(lines_about(backend_list(load_config(path), home)))
    except InfergateError:  # the checks say so
        return []


def _as_json(engine: Engine) -> dict[str, object]:
    return {
        "origin": engine.origin,
        "nginx": list(engine.nginx_version),
        "njs": list(engine.njs_version or ()),
        "argv": list(engine.argv),
        "usable": engine.usable,
        "problems": list(engine.problems),
    }


def _print_engines(engines: list[Engine]) -> None:
    from infergate.engine.facts import dotted

    print("Engines on this machine:" if engines else "Engines on this machine: none")
    for engine in engines:
        njs = f"njs {dotted(engine.njs_version)}" if engine.njs_version else "no njs"
        print(f"  {engine.origin:9} nginx {dotted(engine.nginx_version)}, {njs}")
        print(f"            {' '.join(engine.argv[-1:])}")
        if engine.usable:
            offers = [name.removeprefix("http_") for name in _TELLING if name in engine.modules]
            print(f"            offers {', '.join(offers)}")
        for problem in engine.problems:
            print(f"            cannot be used: {problem}")
