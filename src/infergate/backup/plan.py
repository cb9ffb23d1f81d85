"""What bringing a backup back would do: said before anything is done."""

from __future__ import annotations

import filecmp
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infergate.backup.contents import CONFIG, CURRENT, HOME, OUTSIDE
from infergate.backup.manifest import Manifest
from infergate.backup.staged import Staged
from infergate.errors import UserError
from infergate.files import name_aside
from infergate.ledger.tail import log_files
from infergate.paths import Home
from infergate.state_folder import GENERATED_NAME, default_config

What = Literal["new", "same", "replaced", "left"]

_REPLACED = "replaced"
"""The folder that has what was in the state folder before."""

_FIRST_LINE_BYTES = 64 * 1024


@dataclass(frozen=True)
class RestoreStep:
    """One file, or folder of the state folder.

    fresh: where it is now, unpacked; None for what the backup does not have.
    aside: where that goes which is there, if anything is.
    """

    what: What
    path: Path
    fresh: Path | None
    aside: Path | None
    why: str = ""


@dataclass(frozen=True)
class RestorePlan:
    """config: where the YAML comes to. same_place: the backup is of this very state folder.
    unset: names that its YAML takes from the environment, which has none of that name."""

    manifest: Manifest
    config: Path
    same_place: bool
    steps: tuple[RestoreStep, ...]
    unset: tuple[str, ...]

    @property
    def due(self) -> tuple[RestoreStep, ...]:
        return tuple(step for step in self.steps if step.what in ("new", "replaced"))


def plan(found: Staged, given: Path | None, home: Home, *, outside: bool) -> RestorePlan:
    """given: where the YAML comes to. outside: files that lie elsewhere are brought back too.

    Raises UserError where something cannot be replaced.
    """
    manifest = found.manifest
    config = given or default_config()
    if given is None and Path(manifest.config).name == GENERATED_NAME:
        config = home.root / GENERATED_NAME
    config = config.absolute()
    same_place = (manifest.host, manifest.home) == (socket.gethostname(), str(home.root))
    steps = (
        *_configuration(found, config),
        *_outside(found, wanted=outside),
        *_state(found, home, same_place=same_place),
    )
    for step in steps:
        if step.what == "replaced" and os.path.ismount(step.path):
            raise UserError(
                "is a disk of its own and cannot be put aside",
                where=str(step.path),
                hint="Empty it yourself, or restore to another INFERGATE_HOME.",
            )
    unset = tuple(name for name in manifest.environment if name not in os.environ)
    return RestorePlan(manifest, config, same_place, steps, unset)


def _configuration(found: Staged, config: Path) -> Iterator[RestoreStep]:
    for kept in found.manifest.files:
        if not kept.name.startswith(CONFIG):
            continue
        inside = kept.name.removeprefix(CONFIG)
        path = config if kept.name == found.manifest.config else config.parent / inside
        yield _file(found.path(kept.name), path)


def _outside(found: Staged, *, wanted: bool) -> Iterator[RestoreStep]:
    for kept in found.manifest.files:
        if not kept.name.startswith(OUTSIDE):
            continue
        path = Path("/") / kept.name.removeprefix(OUTSIDE)
        step = _file(found.path(kept.name), path)
        if step.what != "same" and not wanted:
            step = RestoreStep("left", path, None, None, "lies elsewhere; --outside brings it back")
        yield step


def _file(fresh: Path, path: Path) -> RestoreStep:
    if path.is_dir():
        raise UserError("there is a folder where a file is to be written", where=str(path))
    if not os.path.lexists(path):
        return RestoreStep("new", path, fresh, None)
    if path.is_file() and filecmp.cmp(fresh, path, shallow=False):
        return RestoreStep("same", path, fresh, None)
    return RestoreStep("replaced", path, fresh, name_aside(path))


def _state(found: Staged, home: Home, *, same_place: bool) -> Iterator[RestoreStep]:
    stamp = time.strftime("%Y-%m-%dT%H-%M-%S")
    aside = name_aside(home.root / _REPLACED / stamp)
    kept = found.path(HOME.rstrip("/"))
    _link_current(found, kept)
    folders = [home.state, home.revisions, home.current, home.tls, home.public, home.sites_enabled]
    for path in folders:
        yield from _whole(kept / path.name, path, aside / path.name)
    if same_place:
        yield from _own_logs(kept / home.logs.name, home, found.manifest.made_at)
        return
    yield from _whole(kept / home.logs.name, home.logs, aside / home.logs.name)
    # They were given to others, whose keys and teams may have the same names.
    yield from _whole(kept / home.cache.name, home.cache, aside / home.cache.name)


def _link_current(found: Staged, kept: Path) -> None:
    number = found.manifest.current
    link = kept / CURRENT
    if number is not None and (kept / "revisions" / str(number)).is_dir():
        link.symlink_to(Path("revisions") / str(number))


def _whole(fresh: Path, path: Path, aside: Path) -> Iterator[RestoreStep]:
    there = os.path.lexists(path)
    if os.path.lexists(fresh):
        yield RestoreStep("replaced" if there else "new", path, fresh, aside if there else None)
    elif there:
        yield RestoreStep("replaced", path, None, aside, "the backup has none")


def _own_logs(kept: Path, home: Home, made_at: int) -> Iterator[RestoreStep]:
    """The logs stay: what they have since is counted. One that is gone is brought back."""
    if not kept.is_dir():
        return
    there = {_first_line(path) for path in log_files(home.access_log)}
    for path in sorted(kept.iterdir()):
        if _first_line(path) in there:
            continue
        target = home.logs / path.name
        if os.path.lexists(target):
            target = home.logs / f"{home.access_log.name}.{made_at}"
        yield RestoreStep("new", target, path, None)


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(_FIRST_LINE_BYTES)
