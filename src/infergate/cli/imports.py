"""import: the configuration of another gateway as one of ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.errors import UserError

if TYPE_CHECKING:
    from infergate.imports.draft import Draft

_TITLES = {
    "wrong": "Wrong in the original:",
    "lost": "Not taken over:",
    "yours": "Look at:",
}


def register(app: typer.Typer) -> None:
    app.command("import")(import_)


def import_(
    files: Annotated[
        list[Path], typer.Argument(help="All files of the other gateway.", metavar="FILE...")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Write it here; it may not be there yet."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="nginx, litellm, olla, llama-swap, compose; else found out."),
    ] = None,
) -> None:
    """Make an infergate.yaml of another gateway's files.

    Of nginx, LiteLLM, Olla, llama-swap, or a compose file with Open WebUI. Nothing of the original
    is changed. What was wrong in it, and what was not understood, is told beside.
    """
    from infergate.imports.kinds import KINDS, NGINX, read_files
    from infergate.imports.write import as_yaml

    if from_ is not None and from_ not in (NGINX, *KINDS):
        raise UserError(f"{from_!r} is no format", hint=", ".join((NGINX, *KINDS)))
    folder = (out or Path("infergate.yaml")).absolute().parent
    absolute = [path.absolute() for path in files]
    draft = read_files(absolute, folder, from_)
    text = as_yaml(draft, ", ".join(path.name for path in files))
    if out is None:
        print(text, end="")
    else:
        _write(out, text)
    _tell(draft)
    _check(text, out or Path("infergate.yaml"), draft)


def _write(out: Path, text: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError("is there already; name another file", where=str(out)) from None
    except OSError as problem:
        raise UserError(f"cannot be written: {problem.strerror}", where=str(out)) from None


def _tell(draft: Draft) -> None:
    for kind, title in _TITLES.items():
        found = [each for each in draft.findings if each.kind == kind]
        if found:
            print(f"\n{title}", file=sys.stderr)
        for each in found:
            print(f"  {each.place}: {each.what}", file=sys.stderr)


def _check(text: str, path: Path, draft: Draft) -> None:
    """What `infergate check` would say; names of the environment are not to be set yet."""
    from infergate.config.document import environment_names
    from infergate.config.load import parse_config
    from infergate.config.problems import ConfigError

    if not draft.settings.get("backends"):
        return
    names = environment_names(text)
    if names:
        print(f"\nTo be set in the environment: {', '.join(names)}", file=sys.stderr)
    try:
        parse_config(text, path, dict.fromkeys(names, "x"))
    except ConfigError as problem:
        print("\nBefore it can be used:", file=sys.stderr)
        for each in problem.problems:
            print(f"  {each}", file=sys.stderr)
