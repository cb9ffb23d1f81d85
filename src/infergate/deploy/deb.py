"""The gateway as a Debian package: Infergate, the Python packages it needs, and its service.

It has no Python of its own: a virtual environment is a folder with links to the machine's, so it
can be made here for a machine with another Python. The package is the same byte for byte whenever
it is made.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from infergate.deploy.apply import need_root
from infergate.deploy.folder import File
from infergate.deploy.site_packages import unpack
from infergate.deploy.systemd import EXAMPLE, service_files
from infergate.deploy.templates import rendered
from infergate.errors import StateError, UserError

PYTHON = (3, 13)
"""Debian 13's. The package is for it alone: compiled parts of packages are."""

_HOME = "/usr/lib/infergate"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LONG_AGO = 946_684_800
"""2000-01-01: the time of every file in it, so that it does not depend on when it is made."""

_PLACES = {
    "infergate.service": "usr/lib/systemd/system/infergate.service",
    "infergate.sysusers": "usr/lib/sysusers.d/infergate.conf",
    "infergate.tmpfiles": "usr/lib/tmpfiles.d/infergate.conf",
    "infergate.logrotate": "etc/logrotate.d/infergate",
    "infergate": "usr/bin/infergate",
    "environment": "etc/infergate/environment",
    EXAMPLE: f"usr/share/doc/infergate/{EXAMPLE}",
}
NEXT_STEPS = ("sudo apt install ./infergate_*.deb", "sudo infergate keys create me")


def files() -> Sequence[File]:
    """The package, under the name that Debian gives such files."""
    name, content = package()
    return (File(name, content),)


def commands() -> Sequence[Sequence[str]]:
    """What installs it on this machine, also over the same version. Raises StateError where
    nobody or nothing can."""
    need_root()
    if shutil.which("apt-get") is None:
        raise StateError("there is no apt on this machine, so no .deb can be installed")
    install = ("apt-get", "install", "--yes", "--no-install-recommends", "--reinstall")
    return ((*install, f"./{_name()}"),)


def package() -> tuple[str, bytes]:
    """Its file's name and its content. Raises StateError if it cannot be made here."""
    if shutil.which("dpkg-deb") is None:
        raise StateError("there is no dpkg-deb on this machine", hint="Install the package dpkg.")
    with tempfile.TemporaryDirectory(prefix="ig-deb-") as folder:
        root, made = Path(folder, "root"), Path(folder, "made.deb")
        _fill(root)
        command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z9"]
        ran = subprocess.run(
            [*command, "--build", str(root), str(made)],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(_LONG_AGO), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            raise StateError(f"dpkg-deb made no package: {ran.stderr.strip()}")
        return _name(), made.read_bytes()


def given(path: Path | None) -> tuple[str, bytes]:
    """One that is there already, or made where path is None. Raises UserError, StateError."""
    if path is None:
        return package()
    try:
        return path.name, path.read_bytes()
    except OSError as problem:
        raise UserError(f"cannot be read: {problem.strerror}", where=str(path)) from None


def _name() -> str:
    return f"infergate_{metadata.version('infergate')}_{_architecture()}.deb"


def _architecture() -> str:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        known = " and ".join(_ARCHITECTURES)
        raise StateError(f"a .deb is made on {known} only, and this machine is {machine}")
    return _ARCHITECTURES[machine]


def _fill(root: Path) -> None:
    python = ".".join(map(str, PYTHON))
    environment = root / _HOME.removeprefix("/")
    unpack(
        environment / f"lib/python{python}/site-packages",
        python=python,
        machine=platform.machine(),
    )
    _put(environment / "pyvenv.cfg", f"home = /usr/bin\nversion = {python}\n")
    (environment / "bin").mkdir()
    for name in ("python3", "python"):
        (environment / "bin" / name).symlink_to(f"/usr/bin/python{python}")
    start = f"#!{_HOME}/bin/python3 -P\nfrom infergate.__main__ import start\n\nstart()\n"
    _put(environment / "bin/infergate", start, 0o755)
    for file in service_files(f"{_HOME}/bin/infergate"):
        if place := _PLACES.get(file.path):
            _put(root / place, (file.content or b"").decode(), file.mode)
    _put(root / "usr/share/doc/infergate/copyright", _licence())
    for name, text in _control(root, python):
        _put(root / "DEBIAN" / name, text, 0o755 if text.startswith("#!") else 0o644)
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
        elif not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _control(root: Path, python: str) -> Iterator[tuple[str, str]]:
    used = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())
    yield from rendered(
        "deb",
        version=metadata.version("infergate"),
        architecture=_architecture(),
        installed_kib=used // 1024,
        python=python,
        next_python=f"{PYTHON[0]}.{PYTHON[1] + 1}",
        home=_HOME,
    )


def _licence() -> str:
    for path in metadata.files("infergate") or ():
        if path.name == "LICENSE":
            return Path(str(path.locate())).read_text(encoding="utf-8")
    return "Infergate is published under the Apache License 2.0 (Apache-2.0).\n"


def _put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
