"""What several commands share: the -c option, finding the file, printing warnings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.errors import UserError
from infergate.paths import GENERATED_NAME, Home, home_for

if TYPE_CHECKING:
    from infergate.config.load import LoadedConfig

DEFAULT_NAME = "infergate.yaml"

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        help=f"The configuration; ./{DEFAULT_NAME} if not given.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def find_config(given: Path | None) -> Path | None:
    """The configuration file to use; None if none was given and there is none here.

    Raises UserError if the given one does not exist.
    """
    path = given or Path(DEFAULT_NAME)
    if path.is_file():
        return path.absolute()
    if given is not None:
        raise UserError("there is no such file", where=str(given))
    generated = home_for(path.absolute()).root / GENERATED_NAME
    return generated if generated.is_file() else None


def load(
    given: Path | None, *, quiet: bool = False, as_written: bool = False
) -> tuple[LoadedConfig, Home]:
    """The configuration and its state folder; warnings go to standard error.

    as_written: without what discovery found and operators changed (config/in_force.py).
    """
    from infergate.config.load import load_config
    from infergate.state.in_force import bring_into_force

    path = find_config(given)
    if path is None:
        raise UserError(
            f"there is no {DEFAULT_NAME} in this folder",
            hint="Name one with -c FILE, or run `infergate up` to start without one.",
        )
    loaded = load_config(path)
    if not quiet:
        for warning in loaded.warnings:
            print(f"warning: {warning}", file=sys.stderr)
    home = home_for(path)
    return (loaded if as_written else bring_into_force(loaded, home)), home


def seconds_of(text: str, option: str) -> float:
    """A duration that an option was given. Raises UserError, naming the option."""
    from infergate.config.types import seconds

    try:
        return seconds(text)
    except ValueError as problem:
        raise UserError(str(problem), where=option) from None


def counted(count: int, noun: str) -> str:
    """ "1 key", "2 keys"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
