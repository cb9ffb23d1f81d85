"""plan, diff, apply, reload, rollback, history: changing the configuration of what runs."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infergate.cli.options import ConfigOption, load, load_applied
from infergate.errors import UserError

if TYPE_CHECKING:
    from infergate.changes.apply import Applied

_FORMATS = ("table", "json")

FormatOption = Annotated[str, typer.Option("--format", help="table or json.")]


def register(app: typer.Typer) -> None:
    for command in (plan, diff, apply, reload, rollback, history):
        app.command()(command)


def _wants_json(format_: str) -> bool:
    if format_ not in _FORMATS:
        raise UserError(f"{format_!r} is no format", where="--format", hint=", ".join(_FORMATS))
    return format_ == "json"


def plan(config: ConfigOption = None, format_: FormatOption = "table") -> None:
    """Show what `apply` would change, and what runs meanwhile. Touches nothing."""
    from infergate.changes.plan import plan as planned
    from infergate.cli.change_words import plan_in_words

    as_json = _wants_json(format_)
    loaded, home = load(config)
    found = planned(loaded, home)
    if as_json:
        _print_json(dataclasses.asdict(found))
        return
    for line in plan_in_words(found, loaded.path.name):
        print(line)


def diff(
    before: Annotated[
        int | None, typer.Argument(help="A revision; the one in force if not given.")
    ] = None,
    after: Annotated[int | None, typer.Argument(help="A revision; the file if not given.")] = None,
    nginx: Annotated[bool, typer.Option("--nginx", help="Of nginx's files.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the lines that differ between what is in force and the file, or two revisions."""
    from infergate.changes.plan import diff as differing

    loaded, home = load(config, quiet=True)
    for line in differing(loaded, home, before=before, after=after, nginx=nginx):
        print(line)


def apply(
    window: Annotated[
        str, typer.Option(help="How long to watch it, and take it back if it breaks something.")
    ] = "10s",
    config: ConfigOption = None,
) -> None:
    """Bring the file into force: tested, tried beside, watched, and taken back if it fails."""
    from infergate.changes.apply import apply as apply_

    loaded, home = load(config)
    _say(apply_(loaded, home, window_s=_seconds(window), said=_tell))


def reload(config: ConfigOption = None) -> None:
    """As apply, at once and whatever the backends say: nothing is watched afterwards."""
    from infergate.changes.apply import apply as apply_

    loaded, home = load(config)
    _say(apply_(loaded, home, window_s=None, said=_tell))


def rollback(
    back: Annotated[int, typer.Argument(help="How many changes to go back.", min=1)] = 1,
    to: Annotated[int | None, typer.Option(help="A revision instead.")] = None,
    config: ConfigOption = None,
) -> None:
    """Bring an earlier configuration into force again. The file stays as it is."""
    from infergate.changes.history import rollback as rollback_
    from infergate.cli.change_words import file_and_force

    loaded, home = load_applied(config)
    applied = rollback_(loaded, home, back=back, to=to, said=_tell)
    _say(applied)
    for line in file_and_force(loaded.path, home):
        print(line)


def history(
    lines: Annotated[int, typer.Option("-n", "--lines", help="How many, the last ones.")] = 20,
    config: ConfigOption = None,
    format_: FormatOption = "table",
) -> None:
    """Show which configurations were in force, since when, and who brought them there."""
    from infergate.changes.history import history as history_
    from infergate.cli.change_words import print_history
    from infergate.store.database import database_for

    as_json = _wants_json(format_)
    loaded, home = load_applied(config)
    found = history_(loaded, home, database_for(loaded.config, home), last=lines)
    if as_json:
        _print_json([dataclasses.asdict(each) for each in found])
    else:
        print_history(found)


def _seconds(window: str) -> float:
    from infergate.config.types import seconds

    try:
        return seconds(window)
    except ValueError as problem:
        raise UserError(str(problem), where="--window") from None


def _tell(step: str) -> None:
    """How far it is, for who sits and waits."""
    if sys.stderr.isatty():
        print(f"  {step} …", file=sys.stderr)


def _say(applied: Applied) -> None:
    from infergate.cli.change_words import applied_in_words

    for line in applied_in_words(applied):
        print(line)


def _print_json(document: Any) -> None:
    print(json.dumps(document))
