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


def load(given: Path | None, *, quiet: bool = False) -> tuple[LoadedConfig, Home]:
    """The configuration and its state folder; warnings go to standard error."""
    from infergate.config.load import load_config

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
    return loaded, home_for(path)


def load_applied(given: Path | None) -> tuple[LoadedConfig, Home]:
    """The configuration in force and its state folder: of the file only its place counts, it may be
    broken or changed. The file, where nothing was ever in force."""
    from infergate.nginx import revisions

    path = find_config(given)
    if path is None:
        return load(given, quiet=True)
    home = home_for(path)
    return revisions.load_applied(home, path), home


def counted(count: int, noun: str) -> str:
    """ "1 key", "2 keys"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
