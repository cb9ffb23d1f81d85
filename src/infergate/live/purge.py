"""Forget answers that are kept to be given again, and the files of services."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePath

from infergate.live.shared_memory import forget_answers
from infergate.paths import Home
from infergate.worker_files import WorkersFolder

FOLDER = "answers"
"""Below the cache folder, as cache.conf.j2 names it."""

_LEVELS = 2
"""Folders in folders below it: `levels=1:2`."""


def purge(home: Home, model: str | None) -> int:
    """None of these answers is given again from now on; returns how many there were.

    What is on its way from a backend at this moment is kept anew. model: None is all of them.
    Raises StateError if nginx is not running, or no model's answers are kept.
    """
    keys, streams = forget_answers(home.socket, model)
    folder = home.cache / FOLDER
    if model is None:
        _empty(folder)  # older versions, too
    else:
        for key in keys:
            WorkersFolder(folder).remove(cache_file(key))
    return len(keys) + streams


def purge_service(home: Home, name: str) -> int:
    """Nothing of this service is given again from now on; returns how many files there were.

    nginx finds that a file is gone when it is asked for, and asks the service.
    """
    return _empty(service_folder(home, name))


def _empty(folder: Path) -> int:
    """Remove the files of nginx's cache below; returns how many there were."""
    cache = WorkersFolder(folder)
    return sum(cache.remove(name) for name, _ in cache.files(_LEVELS))


def service_folder(home: Home, name: str) -> Path:
    """Where services.conf.j2 has nginx keep a service's files."""
    return home.cache / f"service-{name}"


def cache_file(key: str) -> PurePath:
    """Where nginx keeps the answer of a key, below the folder: `levels=1:2` of the key's MD5.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_path
    """
    digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    return PurePath(digest[-1], digest[-3:-1], digest)


def size_bytes(folder: Path) -> tuple[int, int]:
    """How many files are below a folder, and what they take on the disk."""
    sizes = [facts.st_blocks * 512 for _, facts in WorkersFolder(folder).files(_LEVELS)]
    return len(sizes), sum(sizes)
