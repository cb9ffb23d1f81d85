"""What several commands share: -c and --url, finding the file, printing warnings."""

from __future__ import annotations

import json
import os
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.errors import UserError
from infergate.paths import Home
from infergate.state_folder import (
    CONFIG_VARIABLE,
    DEFAULT_NAME,
    GENERATED_NAME,
    default_config,
    home_for,
)

if TYPE_CHECKING:
    from infergate.config.load import LoadedConfig


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        help=f"The configuration; ${CONFIG_VARIABLE} or ./{DEFAULT_NAME} if not given.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True)
class Address:
    """Where --url says the gateway is, and how its token is found.

    by_environment: $INFERGATE_URL said so; a configuration that is named goes before it.
    """

    url: str
    token_file: Path | None = None
    given_token: str | None = None
    ca_file: Path | None = None
    by_environment: bool = False

    def token(self) -> str | None:
        """The token; None where none was named. Raises UserError."""
        if self.token_file is not None:
            try:
                return self.token_file.read_text().strip()
            except (OSError, UnicodeDecodeError) as problem:
                raise UserError(f"cannot be read: {problem}", where=str(self.token_file)) from None
        if self.given_token is not None:
            print(
                "warning: --token is seen in lists of processes and kept in the shell's history; "
                "--token-file or INFERGATE_TOKEN are not",
                file=sys.stderr,
            )
            return self.given_token
        return os.environ.get("INFERGATE_TOKEN")


_address: ContextVar[Address | None] = ContextVar("address", default=None)


def print_version(*, json_: bool = False) -> None:
    """Such as "infergate 0.1.0"."""
    from importlib.metadata import version as version_of

    found = version_of("infergate")
    print(json.dumps({"infergate": found}) if json_ else f"infergate {found}")


def _version(asked: bool) -> None:
    if asked:
        print_version()
        raise typer.Exit


def elsewhere(
    url: Annotated[
        str | None,
        typer.Option(help="Admin API of a gateway elsewhere; or INFERGATE_URL.", metavar="URL"),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with its token; or INFERGATE_TOKEN.", metavar="FILE"),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="The token itself; others here can see it.", hidden=True)
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Certificates to trust there.", metavar="FILE")
    ] = None,
    _asks_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before the command."""
    named = url or os.environ.get("INFERGATE_URL")
    address = named and Address(named, token_file, token, ca_file, by_environment=url is None)
    _address.set(address or None)


def remote(config: Path | None) -> Address | None:
    """The gateway elsewhere that this command is for; None for that of this machine.

    Raises UserError if both were named.
    """
    address = _address.get()
    if address is None or config is None:
        return address
    if not address.by_environment:
        raise UserError("give either --url or -c: each names a gateway", where="--url")
    return None


def only_here(config: Path | None) -> None:
    """Raises UserError if the command is for a gateway elsewhere."""
    if remote(config) is not None:
        raise UserError(
            "this command works on the gateway's own machine only",
            where="--url",
            hint="Leave out --url, and unset INFERGATE_URL or name a configuration with -c.",
        )


def find_config(given: Path | None) -> Path | None:
    """The configuration file to use; None if none was given and there is none here.

    Raises UserError if the given one does not exist, or if the command is for a gateway elsewhere.
    """
    only_here(given)
    path = given or default_config()
    if path.is_file():
        return path.absolute()
    if given is not None and given.is_dir():
        raise UserError(
            "is a folder, and a file is wanted",
            where=str(given),
            hint=f"Name the file in it, such as {given / DEFAULT_NAME}.",
        )
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
            f"there is no {DEFAULT_NAME} in this folder"
            if default_config() == Path(DEFAULT_NAME)
            else f"there is no {default_config()}, which {CONFIG_VARIABLE} names",
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


def load_applied(given: Path | None) -> tuple[LoadedConfig, Home]:
    """The active configuration and its state folder: of the file only its place counts, it may be
    broken or changed. The file, where nothing was ever active."""
    from infergate.live import revisions

    path = find_config(given)
    if path is None:
        return load(given, quiet=True)
    home = home_for(path)
    return revisions.load_applied(home, path), home


def counted(count: int, noun: str) -> str:
    """ "1 key", "2 keys"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
