"""validate: whether an installed gateway does what it is there for."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli import complete
from infergate.cli.options import ConfigOption, JsonOption, load, seconds_of
from infergate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infergate.validate.load import Load
    from infergate.validate.result import Result

_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "-"}
_BAR = 30


def register(app: typer.Typer) -> None:
    app.command()(validate)


def validate(
    suites: Annotated[
        list[str] | None,
        typer.Argument(help="health, security, acceptance, load; all if none is named."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="load: which model.", autocompletion=complete.models)
    ] = None,
    for_: Annotated[str, typer.Option("--for", help="load: how long.")] = "5s",
    clients: Annotated[int, typer.Option(help="load: how many at a time.", min=1, max=1000)] = 4,
    plot: Annotated[
        Path | None, typer.Option(help="load: write a picture of it, an SVG.", metavar="FILE")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write the results as JUnit XML.", metavar="FILE")
    ] = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Check that the running gateway does what it is there for.

    It is asked as its clients ask, with a key that is made for this and revoked afterwards
    (INFERGATE_KEY names another). acceptance and load are real work for the engines.
    The exit code is 1 if anything failed.
    """
    from infergate.admin.gateway import Gateway
    from infergate.validate.load import LoadWanted
    from infergate.validate.plot import svg_plot, text_plot
    from infergate.validate.result import junit as as_junit
    from infergate.validate.suites import SUITES, run

    chosen = tuple(suites or SUITES)
    if unknown := next((each for each in chosen if each not in SUITES), None):
        raise UserError(
            f"there is no {unknown!r} to validate", hint=f"There is: {', '.join(SUITES)}."
        )
    gateway = Gateway(*load(config, quiet=True, as_written=True))
    wanted = LoadWanted(seconds_of(for_, "--for"), clients, model)
    found: list[Result] = []
    key = os.environ.get("INFERGATE_KEY") or None
    for ran in run(gateway, chosen, key=key, wanted=wanted, tell=_progress):
        found += ran.results
        if not json_:
            _print(ran.suite, ran.results)
        if ran.load is not None:
            if not json_:
                print("\n".join(text_plot(ran.load)))
            if plot is not None:
                _write(plot, svg_plot(ran.load))
    if junit is not None:
        _write(junit, as_junit(found))
    failed = sum(each.outcome == "failed" for each in found)
    if json_:
        print(json.dumps([dataclasses.asdict(each) for each in found]))
    else:
        passed = sum(each.outcome == "passed" for each in found)
        print(f"\n{passed} passed, {failed} failed, {len(found) - passed - failed} left out")
    if failed:
        raise typer.Exit(1)


def _print(suite: str, results: Sequence[Result]) -> None:
    print(f"\n{suite}")
    width = max((len(each.name) for each in results), default=0)
    for each in results:
        print(f"  {_MARKS[each.outcome]:6}  {each.name:{width}}  {each.said}".rstrip())


def _progress(load: Load, share: float) -> None:
    if not sys.stderr.isatty():
        return
    done = "█" * round(share * _BAR)
    line = f"\r  {done:░<{_BAR}} {share:4.0%}  {len(load.requests)} requests, {load.per_s:.0f}/s "
    print(line, end="" if share < 1 else "\r\033[K", file=sys.stderr, flush=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise UserError(f"cannot be written: {problem.strerror}", where=str(path)) from None
