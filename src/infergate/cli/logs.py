"""logs: the requests, a line each; and what reads them elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from infergate.cli import complete
from infergate.cli.options import ConfigOption, JsonOption, find_config
from infergate.errors import NotRunning
from infergate.shown import shown
from infergate.state_folder import default_config, home_for
from infergate.worker_files import LONGEST_LINE, next_line

if TYPE_CHECKING:
    from infergate.cli.log_filter import Wanted

app = typer.Typer(help="Show the requests, a line each; and what reads them elsewhere.")


@app.callback(invoke_without_command=True)
def logs(
    context: typer.Context,
    config: ConfigOption = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new ones.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", help="How many past ones.")] = 20,
    key: complete.OfKey = None,
    team: complete.OfTeam = None,
    model: complete.OfModel = None,
    status: Annotated[str | None, typer.Option(help="Only these: 429, or 5xx.")] = None,
    json_: JsonOption = False,
) -> None:
    """Show the requests, a line each."""
    if context.invoked_subcommand is not None:
        return
    from infergate.cli.log_filter import filter_of

    wanted = filter_of(config, key=key, team=team, model=model, status=status)
    home = home_for(find_config(config) or default_config().absolute())
    if not home.access_log.exists():
        raise NotRunning(
            "there is no access log yet",
            where=str(home.access_log),
            hint="`infergate up` starts the gateway.",
        )
    for line in _lines(home.access_log, lines, follow=follow, wanted=wanted):
        print(line if json_ else shown(_readable(line)), flush=follow)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a line."""
    from infergate.nginx.access_line_schema import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command()
def pipeline(
    name: Annotated[str, typer.Argument(help="Such as filebeat; a list, if not given.")] = "",
    to: Annotated[str | None, typer.Option(help="Base URL of where it sends to.")] = None,
    config: ConfigOption = None,
) -> None:
    """Print the configuration of a program that carries the log elsewhere."""
    from infergate.cli.rows import print_rows
    from infergate.deploy.pipelines import PIPELINES
    from infergate.deploy.pipelines import pipeline as pipeline_of

    if not name:
        print_rows(["NAME", "WHAT"], [[name, each.what] for name, each in PIPELINES.items()])
        return
    home = home_for(find_config(config) or default_config().absolute())
    print(pipeline_of(name, home, to), end="")


def _lines(
    path: Path, past: int, *, follow: bool, wanted: Wanted = lambda _line: True
) -> Iterator[str]:
    with path.open("rb") as file:
        there = map(_text, iter(partial(next_line, file), b""))
        yield from deque(filter(wanted, there), maxlen=max(0, past))
        if follow:
            yield from filter(wanted, _new_lines(file))
    while follow:  # it was rotated; the new one follows
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            yield from filter(wanted, _new_lines(file))
        time.sleep(0.2)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\n")


def _new_lines(file: BinaryIO) -> Iterator[str]:
    """The lines that come, until the file is not the log any more and gets no more of them."""
    pending, quiet = b"", 0
    while quiet < 10:
        pending = (pending + next_line(file))[-LONGEST_LINE:]
        if pending.endswith(b"\n"):
            yield _text(pending)
            pending, quiet = b"", 0
        elif not pending:
            time.sleep(0.2)
            try:
                moved = not os.path.samestat(Path(file.name).stat(), os.fstat(file.fileno()))
            except FileNotFoundError:
                moved = True
            quiet = quiet + 1 if moved else 0


def _readable(line: str) -> str:
    from infergate.ledger.line import request_in

    try:
        entry = request_in(line) or {}
        clock = time.strftime("%H:%M:%S", time.localtime(entry["ts"]))
        who = entry["key"] or "-"
        names = ",".join(each["backend"] for each in entry["attempts"]) or entry["backend"]
        model = entry["gen_ai.request.model"] or entry["model_asked"] or "-"
        where = f"{model} → {entry.get('service') or names or '-'}"
        error = f" {entry['error']}" if entry["error"] else ""
        return (
            f"{clock} {entry['status']} {entry['request_time']:8.3f}s {who:12} "
            f"{entry['method']} {entry['uri']} {where}{error}"
        )
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return line
