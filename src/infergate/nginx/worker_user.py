"""Who nginx's workers are when the gateway runs as root, and where such a gateway may stand.

A worker reads what clients and backends send, so one day somebody gets hold of one. Then it must
be a user without rights, and no path that root uses may lead through a folder it can change.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infergate.errors import EngineError
from infergate.paths import Home

if TYPE_CHECKING:
    from infergate.config.root import Config

_CANDIDATES = ("infergate", "www-data", "nginx", "nobody")
"""The first of these that exists, where the configuration names nobody."""

_ENTER, _WRITE = 0o1, 0o2

PYTHON = Path(sys.executable)
"""What the API tier is run with, as that user."""


@dataclass(frozen=True)
class Account:
    """A user of this machine, with all of its groups."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int]

    def may(self, bit: int, facts: os.stat_result) -> bool:
        """Whether the modes let it. bit: as in the last octal digit."""
        if facts.st_uid == self.uid:
            return bool(facts.st_mode >> 6 & bit)
        return bool((facts.st_mode >> 3 if facts.st_gid in self.groups else facts.st_mode) & bit)

    def may_change(self, facts: os.stat_result) -> bool:
        """Whether it can swap what is in this folder, or write to this file. In a sticky folder
        such as /tmp only who owns a thing can."""
        sticky = stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX
        return facts.st_uid == self.uid or (self.may(_WRITE, facts) and not sticky)


def account(user: str) -> Account:
    """Raises EngineError if there is no such user."""
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise EngineError(
            f"there is no user {user!r} on this machine",
            where="user",
            hint=f"Create it: useradd --system {user}",
        ) from None
    groups = frozenset(os.getgrouplist(user, found.pw_gid))
    return Account(user, found.pw_uid, found.pw_gid, groups)


def worker_user(config: Config, home: Home) -> str | None:
    """Who nginx's workers run as: nobody else than us, unless we are root.

    Raises EngineError if that would be root, or a user that does not exist, may not enter the state
    folder, or can swap it for another; or may not run the API tier, where there is one.
    """
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    name = config.user or next((each for each in _CANDIDATES if each in names), None)
    if name is None:
        raise EngineError(
            f"nginx's workers would be root: this machine has no user {', '.join(_CANDIDATES)}",
            where="user",
            hint="Create one: useradd --system infergate",
        )
    worker = account(name)
    if worker.uid == 0:
        raise EngineError(
            f"nginx's workers may not be root, and {name} is",
            where="user",
            hint="Name a user without rights (useradd --system infergate), or start the gateway\n"
            "  itself as another user than root.",
        )
    refuse_closed(worker, home.root)
    if config.api is not None:
        _refuse_unreachable_python(worker)
    return name


def _refuse_unreachable_python(worker: Account) -> None:
    """Raises EngineError if its processes could not begin: requests would wait for them."""
    _refuse_below_closed(
        worker,
        PYTHON,
        f"the API tier runs as {worker.name}, which may not enter this folder: Python is below it",
        "Install Infergate where everybody may read (its package does), start the\n"
        "  gateway as another user than root, or leave `api` out.",
    )


def refuse_closed(worker: Account, folder: Path) -> None:
    """Raises EngineError unless workers may enter what is above folder, and cannot swap it."""
    _refuse_below_closed(
        worker,
        folder,
        f"nginx's workers run as {worker.name}, which may not enter this folder, and they are"
        " never root",
        "Put the state folder where they may: INFERGATE_HOME=/var/lib/infergate (one\n"
        f"  that is there: mv {folder} /var/lib/infergate). Or let others pass, not look:\n"
        "  chmod o+x {above}. What is in the state folder stays closed to them.",
    )
    refuse_changeable(worker, folder)


def _refuse_below_closed(worker: Account, place: Path, what: str, hint: str) -> None:
    """Raises EngineError of the first folder above place that the worker may not enter, which
    stands for {above} in the hint."""
    for above in _above(place):
        if not worker.may(_ENTER, above.stat()):
            hint = hint.replace("{above}", str(above))
            raise EngineError(what, where=str(above), hint=hint)


def refuse_changeable(worker: Account, path: Path) -> None:
    """Raises EngineError if workers could swap path or, where it is a file, write to it."""
    file = [path] if path.is_file() else []
    for each in (*file, *_above(path)):
        if worker.may_change(each.stat()):
            raise EngineError(
                f"{worker.name} may write here, and nginx's workers run as {worker.name}: whoever"
                f" gets hold of one could swap {path}, and be root",
                where=str(each),
                hint="Name another user with user: (useradd --system infergate), or move it to\n"
                "  where only root writes (the state folder: INFERGATE_HOME=/var/lib/infergate).",
            )


def _above(path: Path) -> Iterator[Path]:
    """The folders on the way to path as it is written, and as it is without links."""
    yield from (each for each in path.absolute().parents if each.exists())
    if path.resolve() != path.absolute():
        yield from (each for each in path.resolve().parents if each.exists())
