"""Forget answers that are kept to be given again, and the files of services."""

from __future__ import annotations

import hashlib
from pathlib import Path

from infergate.nginx.shared_memory import forget_answers
from infergate.paths import Home

FOLDER = "answers"
"""Below the cache folder, as cache.conf.j2 names it."""


def purge(home: Home, model: str | None) -> int:
    """None of these answers is given again from now on; returns how many there were.

    What is on its way from a backend at this moment is kept anew. model: None is all of them.
    Raises StateError if nginx is not running, or no model's answers are kept.
    """
    keys, streams = forget_answers(home.socket, model)
    folder = home.cache / FOLDER
    if model is None:
        files = [path for path in folder.rglob("*") if path.is_file()]  # older versions, too
    else:
        files = [folder / cache_file(key) for key in keys]
    for path in files:
        path.unlink(missing_ok=True)
    return len(keys) + streams


def purge_service(home: Home, name: str) -> int:
    """Nothing of this service is given again from now on; returns how many files there were.

    nginx finds that a file is gone when it is asked for, and asks the service.
    """
    gone = 0
    for path in service_folder(home, name).rglob("*"):
        if path.is_file():
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def service_folder(home: Home, name: str) -> Path:
    """Where services.conf.j2 has nginx keep a service's files."""
    return home.cache / f"service-{name}"


def cache_file(key: str) -> str:
    """Where nginx keeps the answer of a key, below the folder: `levels=1:2` of the key's MD5.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_path
    """
    digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    return f"{digest[-1]}/{digest[-3:-1]}/{digest}"


def size_bytes(folder: Path) -> tuple[int, int]:
    """How many files are below a folder, and what they take on the disk."""
    files = total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                files, total = files + 1, total + path.stat().st_blocks * 512
        except FileNotFoundError:  # nginx removed it meanwhile
            continue
    return files, total
