"""deploy: files that bring a gateway to a machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.options import find_config
from infergate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infergate.deploy.folder import FolderStep

_MARKS = {"new": "+", "same": "=", "replaced": "~", "yours": "="}


def register(app: typer.Typer) -> None:
    app.command()(deploy)


def deploy(
    kind: Annotated[
        str, typer.Argument(help="docker, systemd, deb, lxc, ec2, serve or serve-docker.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The folder to write to; made if needed.")
    ],
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="lxc: phoenix_lxc_configs.json.", metavar="FILE"),
    ] = None,
    package: Annotated[
        Path | None, typer.Option(help="lxc, ec2: a .deb made already.", metavar="FILE")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "-c",
            "--config",
            help="serve, serve-docker: the configuration, ./infergate.yaml if not given; "
            "docker, systemd: bring its engines, too.",
            metavar="FILE",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, write nothing.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Then bring it to this machine, too.")
    ] = False,
) -> None:
    """Write the files that bring a gateway to a machine.

    They are yours to read, change and commit. A file that is replaced is copied aside.
    """
    from infergate.deploy.folder import plan, write
    from infergate.deploy.kinds import KINDS, Wishes

    if kind not in KINDS:
        raise UserError(f"{kind!r} is no kind of deployment", hint=f"There is: {', '.join(KINDS)}.")
    for option, given in (("from", from_), ("package", package), ("config", config)):
        if given and option not in KINDS[kind].takes:
            raise UserError(f"{kind} has no use for --{option}")
    if KINDS[kind].needs_config:
        config = find_config(config)
    wishes = Wishes(out, from_, package, config)
    commands = KINDS[kind].apply(wishes) if apply else ()
    steps = plan(KINDS[kind].files(wishes), out)
    _show(steps, out)
    for command in commands:
        print(f"  $ {' '.join(command)}")
    if dry_run:
        return
    for step, aside in write(steps, out):
        if aside is not None:
            print(f"{step.file.path} of before is {aside.name} now.")
    if apply:
        _run(commands, out)
    elif any(step.what == "new" for step in steps):
        _show_next(KINDS[kind].next_steps(wishes), out)


def _show(steps: Sequence[FolderStep], out: Path) -> None:
    print(f"{out}:")
    for step in steps:
        folder = "/" * (step.file.content is None)
        left = "   (yours; left as it is)" * (step.what == "yours")
        print(f"  {_MARKS[step.what]} {step.file.path}{folder}{left}")
    if all(step.what in ("same", "yours") for step in steps):
        print("Nothing is to be written.")


def _show_next(lines: Sequence[str], out: Path) -> None:
    print("\nNext:")
    for line in (f"cd {out}", *lines):
        print(f"  {line}")


def _run(commands: Sequence[Sequence[str]], out: Path) -> None:
    import subprocess

    for command in commands:
        ran = subprocess.run(command, cwd=out, check=False)
        if ran.returncode != 0:
            raise typer.Exit(1)
