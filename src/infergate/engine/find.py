"""Every nginx of this machine that could be Infergate's engine: the system's, Debian's, ours."""

from __future__ import annotations

import os
import shutil
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from infergate.engine.ask import examine
from infergate.engine.debian_version import Part, order
from infergate.engine.embedded import find_embedded
from infergate.engine.facts import Engine

USUAL_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin")
"""Where nginx is installed; the PATH of an ordinary user has none of them."""

ENGINES_FOLDER = "engines"
"""Inside Infergate's home; has one folder per unpacked engine."""


_PREFIX = "debian-"


MANIFEST = "packages.txt"
"""What is in an unpacked engine; as old as the last look whether Debian has a newer one."""


STALE_S = 30 * 86400
"""Unpacked packages get no updates by themselves; Debian's nginx had eleven in its first year."""


def find_engines(home: Path) -> list[Engine]:
    """All engines, usable or not, in the order in which `engine: auto` prefers them.

    home: Infergate's own folder, whose `engines/` may have Debian's nginx.
    Takes 25 to 60 ms per engine. Stores nothing.
    """
    embedded = find_embedded()
    return [*find_system(), *find_debian(home), *([embedded] if embedded else [])]


def find_system() -> list[Engine]:
    """Each different nginx on the PATH and in the usual folders."""
    # A relative entry of PATH would make the working directory decide what we run.
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if f.startswith("/")]
    found: dict[Path, Path] = {}
    for folder in (*folders, *USUAL_FOLDERS):
        file = Path(folder, "nginx")
        if os.access(file, os.X_OK) and file.is_file():  # the first says no where we may not look
            found.setdefault(file.resolve(), file)
    return [examine("system", [str(file)]) for file in found.values()]


def find_debian(home: Path) -> list[Engine]:
    """Debian's unpacked engines, the newest first."""
    roots = (home.absolute() / ENGINES_FOLDER).glob(f"{_PREFIX}*")
    return [examine_debian(root) for root in sorted(roots, key=_by_version, reverse=True)]


def debian_folder(home: Path, version: str) -> Path:
    """Where the engine of this version is. To the loader, a colon would end the path."""
    return home.absolute() / ENGINES_FOLDER / (_PREFIX + version.replace(":", "%3a"))


def version_of(root: Path) -> str:
    """The version of the engine in a folder that debian_folder names."""
    return urllib.parse.unquote(root.name.removeprefix(_PREFIX))


def examine_debian(root: Path) -> Engine:
    """The nginx unpacked under `root`, run by the loader and the libraries it came with."""
    # x86_64-linux-gnu/ld-linux-x86-64.so.2, aarch64-linux-gnu/ld-linux-aarch64.so.1
    loader = next(iter(sorted((root / "usr/lib").glob("*-linux-gnu*/ld-linux-*.so.*"))), None)
    nginx = root / "usr/sbin/nginx"
    if loader is None or not nginx.is_file():
        problem = "the folder is incomplete: its nginx or its loader is missing"
        return Engine("debian", (str(nginx),), problems=(problem,))
    argv = [str(loader), "--library-path", str(loader.parent), str(nginx)]
    return examine("debian", argv, module_folders=[root / "usr/lib/nginx/modules"])


def set_aside(engine: Engine) -> Path:
    """Keep one of Debian's that proved bad, where no start finds it; returns where."""
    root = engine.binary.parents[2]
    aside = root.with_name(f"refused-{root.name}")
    shutil.rmtree(aside, ignore_errors=True)
    return root.rename(aside)


def fetched_at(argv: Sequence[str]) -> float | None:
    """When Debian's engine that this starts was fetched, Unix seconds; None for another one."""
    try:
        return (Path(argv[-1]).parents[2] / MANIFEST).stat().st_mtime
    except (OSError, IndexError):
        return None


def _by_version(root: Path) -> tuple[int, Part, Part]:
    return order(version_of(root))
