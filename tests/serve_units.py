"""A unit of `infergate deploy serve` run as systemd runs it, where there is no systemd."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.backends.servers import Server


@dataclass(frozen=True)
class Unit:
    """What a unit's file says: words of its commands, and its environment with its secrets."""

    command: list[str]
    ready: list[str]
    environ: dict[str, str]


def unit(folder: Path, name: str) -> Unit:
    """The unit of an entry, in the folder that was written."""
    text = (folder / f"infergate-serve-{name}.service").read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        setting, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(setting, []).append(value)
    pairs = [pair for line in found["Environment"] for pair in line.split()]
    pairs += (folder / "env" / f"{name}.env").read_text().splitlines()[1:]
    return Unit(
        _words(found["ExecStart"][0]),
        _words(found["ExecStartPost"][0]),
        dict(pair.split("=", 1) for pair in pairs),
    )


def _words(line: str) -> list[str]:
    return [each.replace("$$", "$").replace("%%", "%") for each in shlex.split(line)]


@contextmanager
def running_unit(folder: Path, name: str, home: Path, **environ: str) -> Iterator[Server]:
    """Its process, until it is ready by its own ExecStartPost. home: instead of /var/lib."""
    it = unit(folder, name)
    port = int(it.command[it.command.index("--port") + 1])
    server = Server(
        lambda _: it.command,
        it.ready[-1],
        name,
        ready_s=300,
        environ={**it.environ, "HOME": str(home), "HF_HOME": str(home), **environ},
        port=port,
    )
    try:
        server.start()
        wait = [str(folder / "serve-ready"), *it.ready[1:]]
        pid = {"MAINPID": str(server.pid)}
        subprocess.run(wait, env={**os.environ, **pid}, check=True, timeout=300)
        yield server
    finally:
        server.stop()
