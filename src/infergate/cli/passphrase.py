"""The passphrase of a backup: from a file, the environment, or typed. Never an argument, which
every process of the machine can read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from infergate.errors import UserError

VARIABLE = "INFERGATE_PASSPHRASE"

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help=f"Its first line is it; or {VARIABLE}."),
]


def new_passphrase(file: Path | None, *, ask: bool) -> str | None:
    """The one for a new backup; None where none is given. Raises UserError for a short one."""
    from infergate.backup.seal import SHORTEST_PASSPHRASE

    given = _given(file)
    if given is None and ask:
        given = _typed("Passphrase: ")
        if _typed("Again: ") != given:
            raise UserError("these are two passphrases")
    if given is not None and len(given) < SHORTEST_PASSPHRASE:
        raise UserError(
            f"the passphrase has fewer than {SHORTEST_PASSPHRASE} characters",
            hint="Whoever has the file can try as many as they like: `openssl rand -base64 24`.",
        )
    return given


def known_passphrase(file: Path | None) -> str:
    """The one that a backup was made with. Raises UserError if nobody says it."""
    given = _given(file)
    return _typed("Passphrase: ") if given is None else given


def _given(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(VARIABLE)
    try:
        line = file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"cannot be read: {problem}", where=str(file)) from None
    if not line:
        raise UserError("has no passphrase in its first line", where=str(file))
    return line


def _typed(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise UserError(
            "a passphrase is needed, and there is no terminal to ask at",
            hint=f"Give --passphrase-file FILE, or set {VARIABLE}.",
        )
    import getpass

    return getpass.getpass(prompt)
