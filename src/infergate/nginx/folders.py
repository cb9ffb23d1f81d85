"""The state folder's folders: whose they are, and what the workers may do in each.

Under root the workers are another user. Folders that root walks through belong to root, and only
the last one to a worker: at each start and reload nginx's master, as root, gives its temporary
folders, its cache and its sockets their owner and mode by their path, and follows links.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infergate.errors import EngineError
from infergate.nginx.worker_user import Account, account, refuse_closed
from infergate.paths import Home
from infergate.worker_files import FOLDER_FLAGS


@dataclass(frozen=True)
class _Folder:
    """mode: under root; else 0700. grouped: its group is the workers'.

    theirs: it belongs to the workers. holds: it has things of the workers in it, and an earlier
    Infergate gave them the folder itself.
    """

    path: Path
    mode: int = 0o700
    grouped: bool = False
    theirs: bool = False
    holds: bool = False


def _folders(home: Home) -> Iterator[_Folder]:
    """Each before what is in it."""
    passed = 0o711  # others may pass, and not look around
    yield _Folder(home.root, passed)
    yield _Folder(home.revisions)
    yield _Folder(home.state, 0o750, grouped=True)  # snapshots
    yield _Folder(home.bans)
    yield _Folder(home.logs, 0o710, grouped=True)  # each worker opens them itself after a rotation
    yield _Folder(home.tls)
    yield _Folder(home.acme)
    yield _Folder(home.public, passed)
    yield _Folder(home.challenges, passed)
    yield _Folder(home.run, passed)
    yield _Folder(home.socket.parent)
    yield _Folder(home.queue_socket.parent, 0o710, grouped=True, holds=True)
    yield _Folder(home.run / "temp", passed, holds=True)
    yield _Folder(home.cache, passed, holds=True)
    yield _Folder(home.waf_reports, theirs=True)


def prepare_home(home: Home, user: str | None) -> None:
    """Make the state folder and what is in it, for our eyes only; mend one of an earlier version.

    user: who the workers run as, when that is not us. They may enter the folder, read the snapshots
    and write their temporary files, and no more.
    Raises EngineError where a folder belongs to somebody else.
    """
    if odd := re.search(r"""[\x00-\x1f\x7f"$\\]""", str(home.root)):
        raise EngineError(
            f"the state folder's path has the character {odd[0]!r}, which nginx cannot be told",
            where=str(home.root),
            hint="Set INFERGATE_HOME to another folder.",
        )
    worker = account(user) if user is not None else None
    home.root.parent.mkdir(parents=True, exist_ok=True)
    for folder in _folders(home):
        path = folder.path
        # Only root makes links here: a cache on another disk.
        if path.parent == home.root and path.is_symlink():
            path = path.resolve()
            if worker is not None:
                refuse_closed(worker, path)
        _own(path, folder, worker, inside=home.root in folder.path.parents)
    if worker is not None:
        _share_snapshots(home, worker)


def _share_snapshots(home: Home, worker: Account) -> None:
    """Those that were copied here from elsewhere have the group that they had there."""
    for path in home.snapshots:
        with suppress(OSError):
            os.chown(path, -1, worker.gid, follow_symlinks=False)


def own_folder(path: Path) -> None:
    """Make a folder that only we may enter. Raises EngineError if somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _own(path, _Folder(path), None, inside=False)


def _own(path: Path, folder: _Folder, worker: Account | None, *, inside: bool) -> None:
    """Give it its owner and mode, and only then look at what is in it.

    inside: the state folder. What is not may be below /tmp (paths.py), where others make folders.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        descriptor = os.open(path, FOLDER_FLAGS)
    except OSError as problem:
        raise EngineError(f"is no folder of ours: {problem.strerror}", where=str(path)) from None
    try:
        facts = os.fstat(descriptor)
        allowed = {os.geteuid()}
        if worker is not None and (folder.holds or folder.theirs):
            allowed |= {facts.st_uid if inside else worker.uid}
        if facts.st_uid not in allowed:
            raise EngineError("belongs to another user", where=str(path))
        if worker is not None:
            group = worker.gid if folder.grouped or folder.theirs else -1
            os.fchown(descriptor, worker.uid if folder.theirs else os.geteuid(), group)
        os.fchmod(descriptor, 0o700 if worker is None else folder.mode)
        if not os.path.samestat(facts, os.lstat(path)):  # below /tmp, it may have been swapped
            raise EngineError("was swapped for another folder", where=str(path))
        if worker is not None and folder.holds:
            _drop_planted(descriptor)
    finally:
        os.close(descriptor)


def _drop_planted(folder: int) -> None:
    """Remove what no worker needs here, such as a link: the folder was its own before."""
    with os.scandir(folder) as entries:
        for entry in list(entries):
            mode = entry.stat(follow_symlinks=False).st_mode
            if not stat.S_ISDIR(mode) and not stat.S_ISSOCK(mode):
                os.unlink(entry.name, dir_fd=folder)
