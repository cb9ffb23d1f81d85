"""top: what a gateway does now."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from infergate.cli.options import ConfigOption, JsonOption, find_config, remote, seconds_of
from infergate.cli.target import CommandTarget, target
from infergate.errors import InfergateError, UserError
from infergate.state_folder import default_config, home_for


def register(app: typer.Typer) -> None:
    app.command()(top)


def top(
    once: Annotated[
        bool, typer.Option("--once", help="Print one picture and end; so it does into a pipe.")
    ] = False,
    every: Annotated[str, typer.Option(help="Time between two looks.")] = "2s",
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Watch models, backends, the queue and keys, live.

    Keys: q ends, s sorts, tab shows one part, arrows scroll, p pauses.
    """
    from infergate.cli.terminal import Styled
    from infergate.cli.top.frame import View, frame
    from infergate.cli.top.seen import Observer

    every_s = seconds_of(every, "--every")
    if not 0.2 <= every_s <= 3600:
        raise UserError("give 200ms to 1h", where="--every")
    observer = Observer(_targets(config))
    watched = sys.stdin.isatty() and sys.stdout.isatty() and not once and not json_
    if watched:
        from infergate.cli.top.screen import watch

        target(config, broken=True)  # what is wrong with -c or --url is said as elsewhere
        watch(observer, every_s)
        return
    observer.ask()
    seen = observer.seen
    if seen.status is None or seen.live is None:
        raise InfergateError(seen.problem)
    if json_:
        keys = {name: vars(each) for name, each in seen.keys.items()}
        live = seen.live.model_dump(exclude={"requests", "next"})
        print(json.dumps({**live, "keys": keys, "backends": _backends(seen.status.model_dump())}))
        return
    terminal = Styled()
    for line in frame(seen, View(), terminal.width, None, time.time()):
        terminal.line(*line)


def _backends(status: dict[str, object]) -> object:
    return status["backends"]


def _targets(config: Path | None) -> Callable[[], CommandTarget]:
    """The gateway anew where the file or what is active has changed: to read it takes long."""
    if remote(config) is not None:
        elsewhere = target(config)
        return lambda: elsewhere
    home = home_for(find_config(config) or default_config().absolute())
    watched = (home.current, home.changes, home.discovered)
    kept: dict[tuple[object, ...], CommandTarget] = {}

    def fresh() -> CommandTarget:
        mark = tuple(_mark(each) for each in (find_config(config), *watched))
        if mark not in kept:
            kept.clear()
            kept[mark] = target(config, broken=True)
        return kept[mark]

    return fresh


def _mark(path: Path | None) -> object:
    try:
        return path and (path.stat().st_mtime_ns, os.path.realpath(path))
    except OSError:
        return None
