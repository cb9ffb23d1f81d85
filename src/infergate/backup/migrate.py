"""A gateway moves to another machine: a backup, sent over ssh and brought back there.

Nothing of the other machine is known here but what its commands say and how they end.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from infergate.backup.take import Taken, take
from infergate.config.load import LoadedConfig
from infergate.errors import StateError, UserError
from infergate.paths import Home


@dataclass(frozen=True)
class MigrationTarget:
    """host: as ssh takes it. folder: of the YAML there. ssh: the command that leads there.
    program: Infergate there."""

    host: str
    folder: PurePosixPath
    ssh: Sequence[str] = ("ssh",)
    program: str = "infergate"

    def __post_init__(self) -> None:
        if self.host.startswith("-") or not self.host:
            raise UserError(f"{self.host!r} is no host", where="HOST")
        if not self.folder.is_absolute():
            raise UserError("give the whole path, from / on", where="--to")

    def command(self, *words: str) -> list[str]:
        """What runs one of our commands there."""
        there = shlex.join((self.program, *words, "-c", str(self.folder / "infergate.yaml")))
        made = shlex.join(("mkdir", "-p", str(self.folder)))
        return [*self.ssh, self.host, f"{made} && cd {shlex.quote(str(self.folder))} && {there}"]


def send(loaded: LoadedConfig, home: Home, target: MigrationTarget, *, apply: bool) -> Taken:
    """Have the other machine say its plan for a backup of now, or do it.

    It goes through ssh, so it is in clear in a file of ours only, and only until it was sent.
    Raises StateError if the other machine does not take it.
    """
    with tempfile.TemporaryDirectory(dir=home.root, prefix=".migrate-") as folder:
        file = Path(folder) / "backup"
        taken = take(loaded, home, file, passphrase=None)
        with file.open("rb") as content:
            _run(target.command("restore", "-", *(("--apply",) if apply else ())), content)
    return taken


def start(target: MigrationTarget) -> None:
    """Start it there; returns when it answers. Raises StateError."""
    _run(target.command("up", "--detach"), None)


def _run(command: Sequence[str], content: IO[bytes] | None) -> None:
    try:
        ran = subprocess.run(command, stdin=content or subprocess.DEVNULL, check=False)
    except OSError as problem:
        raise StateError(f"cannot be started: {problem.strerror}", where=command[0]) from None
    if ran.returncode != 0:
        raise StateError(
            f"ended with {ran.returncode}",
            where=shlex.join(command),
            hint="The gateway of this machine is as it was; what was said above is the reason.",
        )
