"""backup, restore, migrate: a gateway in one file, and back, here or elsewhere."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infergate.cli.options import ConfigOption, counted, load_applied, only_here
from infergate.cli.passphrase import PassphraseFile, known_passphrase, new_passphrase
from infergate.cli.progress import busy
from infergate.errors import UserError
from infergate.state_folder import default_config, home_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infergate.backup.contents import MissingPart
    from infergate.backup.plan import RestorePlan

_MARKS = {"new": "+", "same": "=", "replaced": "~", "left": "!"}


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)
    app.command()(migrate)


def backup(
    file: Annotated[Path, typer.Argument(help="What to write; it may not be there yet.")],
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Ask for a passphrase.")] = False,
    passphrase_file: PassphraseFile = None,
    without_database: Annotated[
        bool,
        typer.Option("--without-database", help="Where it is PostgreSQL: use pg_dump for it."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Put the whole gateway into one file, while it serves.

    Keys, usage, audit log, certificates with their keys, revisions, the YAML and the files it
    names. Encrypted, if a passphrase is given.
    """
    from infergate.backup.take import take

    only_here(config)
    passphrase = new_passphrase(passphrase_file, ask=encrypt)
    loaded, home = load_applied(config)
    with busy("reading database, revisions and logs"):
        taken = take(loaded, home, file, passphrase=passphrase, without_database=without_database)
    _tell_missing(taken.missing)
    print(f"{file}: {counted(taken.files, 'file')}, {_size(taken.size)}.")
    if passphrase is None:
        print("It is not encrypted, and private keys are in it: keep it as you keep those.")


def restore(
    file: Annotated[Path, typer.Argument(help="What `backup` wrote; - is standard input.")],
    apply: Annotated[bool, typer.Option("--apply", help="Do it, without asking.")] = False,
    outside: Annotated[
        bool,
        typer.Option("--outside", help="Files outside the YAML's folder, too: /etc/…"),
    ] = False,
    passphrase_file: PassphraseFile = None,
    config: ConfigOption = None,
) -> None:
    """Bring a gateway back from a backup, here.

    The plan first. The YAML comes to -c, the state to its folder (INFERGATE_HOME). What is there
    is put aside.
    """
    from infergate.backup.restore import opened
    from infergate.backup.swap import finish_exchange

    only_here(config)
    home = home_for((config or default_config()).absolute())
    if finish_exchange(home):
        print("A restore that had been cut off was finished first.")
    with (
        _read_from(file) as path,
        opened(
            path, config, home, outside=outside, ask=lambda: known_passphrase(passphrase_file)
        ) as (plan, bring_back),
    ):
        _show(plan)
        if not plan.due:
            print("All is here already.")
            return
        if not (apply or _yes(file)):
            print("Nothing was changed; --apply does it.")
            return
        with busy("bringing it back"):
            bring_back()
    print(f"It is back. `infergate check -c {plan.config}` says whether this machine has all that")
    print("the YAML needs; then `infergate up`.")


def migrate(
    host: Annotated[str, typer.Argument(help="The other machine, as ssh takes it.")],
    to: Annotated[str, typer.Option(help="Folder of its YAML there.")] = "/srv/infergate",
    apply: Annotated[bool, typer.Option("--apply", help="Do it; else the plan is shown.")] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop this one first: nothing changes meanwhile.")
    ] = False,
    ssh: Annotated[str, typer.Option(help="The command that leads there.")] = "ssh",
    program: Annotated[str, typer.Option(help="Infergate there.")] = "infergate",
    config: ConfigOption = None,
) -> None:
    """Bring this gateway to another machine, by ssh.

    Infergate has to be there. This gateway goes on unless --stop is given: send clients to the
    other, then stop it. What happens here after the copy (keys, usage) is not there.
    """
    import shlex
    from pathlib import PurePosixPath

    from infergate.backup.migrate import MigrationTarget, send, start
    from infergate.supervise.stop import stop_gateway

    only_here(config)
    target = MigrationTarget(host, PurePosixPath(to), tuple(shlex.split(ssh)), program)
    loaded, home = load_applied(config)
    if not apply:
        _tell_missing(send(loaded, home, target, apply=False).missing)
        return
    if stop:
        stop_gateway(home, now=False)
        print("Infergate is down here.")
    _tell_missing(send(loaded, home, target, apply=True).missing)
    start(target)
    print(f"It runs at {host}." if stop else f"It runs at {host} too: send your clients there,")
    if not stop:
        print("and stop this one: infergate down")


def _tell_missing(missing: Sequence[MissingPart]) -> None:
    for each in missing:
        print(f"warning: {each.setting}: {each.path} {each.why}", file=sys.stderr)


@contextmanager
def _read_from(file: Path) -> Iterator[Path]:
    """Standard input is read twice, so it is a file first; as it is, maybe in clear, but ours."""
    if str(file) != "-":
        if not file.is_file():
            raise UserError("there is no such file", where=str(file))
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="infergate-restore-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


def _show(plan: RestorePlan) -> None:
    made = plan.manifest
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(made.made_at))
    print(f"Made {when} by Infergate {made.infergate} at {made.host}, of {made.home}:")
    for step in plan.steps:
        why = f"   ({step.why})" if step.why else ""
        print(f"  {_MARKS[step.what]} {step.path}{why}")
        if step.aside is not None:
            print(f"      what is there goes to {step.aside}")
    if made.tables is None:
        print("It has no database: keys and usage are where `store:` says, or in a pg_dump.")
    for name in plan.unset:
        print(f"The YAML takes {name} from the environment, which has none.")


def _yes(file: Path) -> bool:
    if str(file) == "-" or not sys.stdin.isatty():
        return False
    return typer.confirm("Do it?")


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
