"""plan, diff, apply, reload, rollback, history: changing the configuration of what runs."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infergate.cli.options import ConfigOption, JsonOption, find_config, remote, seconds_of
from infergate.cli.target import filled, target
from infergate.errors import UserError
from infergate.state_folder import home_for

if TYPE_CHECKING:
    from infergate.changes.applied import Applied

_FORMATS = ("table", "json")

FormatOption = Annotated[str, typer.Option("--format", help="table or json.")]


def register(app: typer.Typer) -> None:
    for command in (plan, diff, apply, reload, rollback, history):
        app.command()(command)


def _wants_json(format_: str) -> bool:
    if format_ not in _FORMATS:
        raise UserError(f"{format_!r} is no format", where="--format", hint=", ".join(_FORMATS))
    return format_ == "json"


def plan(
    config: ConfigOption = None, format_: FormatOption = "table", json_: JsonOption = False
) -> None:
    """Show what `apply` would change, and what runs meanwhile. Touches nothing."""
    from infergate.admin import changes
    from infergate.cli.change_words import plan_in_words

    as_json = _wants_json(format_) or json_
    found = target(config, quiet=False).run(changes.show_plan)
    if as_json:
        _print_json(dataclasses.asdict(found))
        return
    for line in plan_in_words(found, _file_name(config)):
        print(line)


def diff(
    before: Annotated[
        int | None, typer.Argument(help="A revision; the active one if not given.")
    ] = None,
    after: Annotated[int | None, typer.Argument(help="A revision; the file if not given.")] = None,
    nginx: Annotated[bool, typer.Option("--nginx", help="Of nginx's files.")] = False,
    config: ConfigOption = None,
    json_: JsonOption = False,
) -> None:
    """Show the lines that differ.

    Between what is active and the file, or of two revisions.
    """
    from infergate.admin import changes

    found = target(config).run(changes.show_diff, before=before, after=after, nginx=nginx)
    if json_:
        _print_json({"lines": found.lines})
        return
    for line in found.lines:
        print(line)


def apply(
    window: Annotated[
        str, typer.Option(help="How long to watch it, and take it back if it breaks something.")
    ] = "10s",
    config: ConfigOption = None,
) -> None:
    """Activate the file, with proof.

    It is tested, tried alongside, watched, and rolled back if it fails.
    """
    _apply(config, seconds_of(window, "--window"))


def reload(config: ConfigOption = None) -> None:
    """Like `apply`, but immediately and without asking the backends first.

    Nothing is watched afterwards.
    """
    _apply(config, None)


def _apply(config: Path | None, window_s: float | None) -> None:
    from infergate.admin import changes

    body = filled(changes.Apply, window_s=window_s)
    _say(target(config, quiet=False, said=_tell).run(changes.apply_file, body))


def rollback(
    back: Annotated[int, typer.Argument(help="How many changes to go back.", min=1)] = 1,
    to: Annotated[int | None, typer.Option(help="A revision instead.")] = None,
    config: ConfigOption = None,
) -> None:
    """Activate an earlier configuration again. The file stays as it is."""
    from infergate.admin import changes
    from infergate.cli.change_words import file_and_force

    body = filled(changes.Back, back=back, to=to)
    _say(target(config, said=_tell, broken=True).run(changes.roll_back, body))
    path = None if remote(config) else find_config(config)
    for line in file_and_force(path, home_for(path)) if path else ():
        print(line)


def history(
    lines: Annotated[int, typer.Option("-n", "--lines", help="How many, the last ones.")] = 20,
    config: ConfigOption = None,
    format_: FormatOption = "table",
    json_: JsonOption = False,
) -> None:
    """Show which configurations were active, and by whom."""
    from infergate.admin import changes
    from infergate.cli.change_words import print_history

    as_json = _wants_json(format_) or json_
    pages = target(config, broken=True).pages(changes.list_history)
    newest_first = (past for page in pages for past in page.items)
    found = list(itertools.islice(newest_first, max(0, lines)))[::-1]
    if as_json:
        _print_json([dataclasses.asdict(each) for each in found])
    else:
        print_history(found)


def _file_name(config: Path | None) -> str:
    path = None if remote(config) else find_config(config)
    return path.name if path else "The file"


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
