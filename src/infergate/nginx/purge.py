"""Forget answers that are kept to be given again, and their files."""

from __future__ import annotations

import hashlib

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


def cache_file(key: str) -> str:
    """Where nginx keeps the answer of a key, below the folder: `levels=1:2` of the key's MD5.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_path
    """
    digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
    return f"{digest[-1]}/{digest[-3:-1]}/{digest}"


def size_bytes(home: Home) -> int:
    """What the files take on the disk."""
    total = 0
    for path in (home.cache / FOLDER).rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0
        except FileNotFoundError:  # nginx removed it meanwhile
            continue
    return total
