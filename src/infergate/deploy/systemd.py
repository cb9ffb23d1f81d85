"""The gateway as a service of this machine: hardened, told when it is ready, its logs rotated."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from infergate.deploy import serve
from infergate.deploy.apply import need_root
from infergate.deploy.folder import File
from infergate.deploy.templates import rendered
from infergate.errors import UserError

EXAMPLE = "infergate.yaml.example"
NEXT_STEPS = ("sudo ./install.sh", "sudo infergate keys create me")
_PROGRAMS = frozenset(("infergate", "install.sh"))
_ENGINES = "serve"
_CLOSED = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 - compared only
"""What the service does not see (ProtectHome, PrivateTmp)."""


def files(out: Path, config: Path | None) -> Sequence[File]:
    """What install.sh puts in its places, for this very Infergate.

    config: whose engines are brought, too. out: the folder, whose keys of engines are kept.
    Raises UserError where the service could not start it.
    """
    program = Path(sys.prefix, "bin/infergate")
    if str(program).startswith(_CLOSED):
        raise UserError(
            "this Infergate is where its service may not look",
            where=str(program),
            hint="Install it elsewhere: python3 -m venv /opt/infergate; then its `infergate`.",
        )
    return (*service_files(str(program)), *(engine_files(out, config) if config else ()))


def engine_files(out: Path, config: Path) -> tuple[File, ...]:
    """Those of the engines that a configuration serves, in a folder of their own."""
    engines = serve.files(out / _ENGINES, config)
    return tuple(replace(each, path=f"{_ENGINES}/{each.path}") for each in engines)


def service_files(program: str) -> tuple[File, ...]:
    """The service's files. program: what starts Infergate there."""
    values = {"version": metadata.version("infergate"), "program": program}
    return tuple(
        File(path, text.encode(), 0o755 if path in _PROGRAMS else 0o644)
        for path, text in rendered("systemd", **values)
    )


def commands() -> Sequence[Sequence[str]]:
    """What brings it to this machine. Raises StateError for anybody but root."""
    need_root()
    return (("./install.sh",),)
