"""Brings Debian 13's nginx with njs into Infergate's own folder: no root, signed by Debian.

The packages are unpacked, not installed: nothing of the machine changes, and none of their
scripts run. nginx is then started by the C library's loader that came with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infergate.engine.debian_apt import download, require_tools
from infergate.engine.debian_mirror import SUITE, machine_mirrors
from infergate.engine.facts import Engine
from infergate.engine.find import (
    ENGINES_FOLDER,
    MANIFEST,
    debian_folder,
    examine_debian,
    find_debian,
)
from infergate.errors import EngineError

WANTED = ("nginx", "libnginx-mod-http-js")
WANTED_FOR_WAF = ("libnginx-mod-http-modsecurity", "modsecurity-crs")

_UNFINISHED = ".installing-"
_REPLACED = "replaced"


def install_debian_engine(
    home: Path,
    report: Callable[[str], None],
    *,
    force: bool = False,
    waf: bool = False,
    suite: str = SUITE,
) -> Engine:
    """Debian 13's nginx in `home/engines/debian-<version>`, usable when this returns.

    report: called with one line per step, for a person to read.
    force: fetch again although there is one, e.g. for Debian's security updates.
    waf: with ModSecurity and the OWASP Core Rule Set; an engine that has them keeps them.
    suite: of another release of Debian, for tests.
    Downloads about 22 MB (10 of them package lists, which are deleted again), keeps 28 MB; with
    the firewall 8 and 23 MB more.
    Raises EngineError when the machine cannot do it, a download or signature fails, or the
    result does not run; `engines/` is then as it was before.
    """
    engines = home.absolute() / ENGINES_FOLDER
    if odd := re.search(r'[:;"\\$]', str(engines)):
        raise EngineError(
            f"the path has a {odd[0]}, which the loader, apt or nginx would read as syntax",
            where=str(engines),
            hint="Use a home folder without it.",
        )
    try:
        engines.mkdir(parents=True, exist_ok=True)
        return _install_once(home, engines, report, suite, force=force, waf=waf)
    except OSError as problem:
        where = str(problem.filename or engines)
        raise EngineError(f"cannot be installed: {problem.strerror}", where=where) from problem


def _install_once(
    home: Path,
    engines: Path,
    report: Callable[[str], None],
    suite: str,
    *,
    force: bool,
    waf: bool,
) -> Engine:
    with _only_one_at_a_time(engines):
        for stale in engines.glob(f"{_UNFINISHED}*"):  # of a run that was killed
            _leave(stale, engines)
        there = next((engine for engine in find_debian(home) if engine.usable), None)
        has_waf = there is not None and "modsecurity" in there.modules
        if there and not force and (has_waf or not waf):
            report(f"Debian's nginx is already there: {there}")
            return there
        work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=engines))
        try:
            work.chmod(0o711)  # as root, apt downloads as its own user, who must get in
            wanted = (*WANTED, *WANTED_FOR_WAF) if waf or has_waf else WANTED
            return _install(wanted, work, home, report, suite)
        finally:
            _leave(work, engines)


def _leave(work: Path, engines: Path) -> None:
    """Remove a run's folder. An engine that it put aside, and nothing came to its place, goes back.

    Its apt may still be at work for a moment: then the next run removes what is left.
    """
    for old in (work / _REPLACED).glob("*"):
        if not (engines / old.name).exists():
            old.rename(engines / old.name)
    shutil.rmtree(work, ignore_errors=True)


def _install(
    wanted: Sequence[str], work: Path, home: Path, report: Callable[[str], None], suite: str
) -> Engine:
    require_tools()
    mirrors = machine_mirrors()
    if mirrors is None:
        raise EngineError(
            "apt on this machine has no Debian mirror to fetch Debian's nginx from",
            where="/etc/apt",
            hint="Install nginx 1.26 and njs 0.8.9 or newer from your distribution, or keep"
            " `engine: embedded`.",
        )
    report(f"Fetching Debian {suite}'s nginx and njs from {mirrors.archive}")
    packages = download(wanted, mirrors, work / "apt", report, suite=suite)
    size_mb = sum(package.stat().st_size for package in packages) / 1e6
    report(f"Got {len(packages)} packages, {size_mb:.0f} MB, all signed by Debian")

    by_name = {package_name(package): package for package in packages}
    needed = needed_at_run_time(wanted, unpack_each(by_name, work / "each"))
    report(f"Unpacking those that nginx needs to run: {', '.join(needed)}")
    root = work / "root"
    root.mkdir()
    for name in needed:
        unpack(by_name[name], root)
    _check_self_contained(root)
    manifest = "".join(manifest_line(by_name[name]) for name in needed)
    target = debian_folder(home, package_version(by_name["nginx"]))
    if (there := examine_debian(target)).usable and _manifest_of(target) == manifest:
        (target / MANIFEST).touch()  # as new as today
        report(f"Debian has no newer one: {there}")
        return there
    (root / MANIFEST).write_text(manifest, encoding="utf-8")

    tried = examine_debian(root)
    if not tried.usable:
        raise EngineError(f"Debian's nginx does not run here: {'; '.join(tried.problems)}")
    if target.exists():
        (work / _REPLACED).mkdir()
        target.rename(work / _REPLACED / target.name)
    root.rename(target)
    engine = examine_debian(target)
    report(f"Installed {engine}")
    return engine


def _manifest_of(engine: Path) -> str:
    try:
        return (engine / MANIFEST).read_text(encoding="utf-8")
    except OSError:
        return ""


def unpack(package: Path, root: Path) -> None:
    """Extracts the files; the package's scripts are not run."""
    ran = subprocess.run(
        ["dpkg", "-x", str(package), str(root)], capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise EngineError(f"it could not be unpacked: {ran.stderr.strip()}", where=package.name)


def unpack_each(packages: dict[str, Path], folder: Path) -> dict[str, Path]:
    """Each package in a folder of its own, so that a library's path tells whose it is."""
    roots = {name: folder / name for name in packages}
    for name, root in roots.items():
        root.mkdir(parents=True)
        unpack(packages[name], root)
    return roots


def needed_at_run_time(wanted: Sequence[str], roots: dict[str, Path]) -> list[str]:
    """The wanted packages and those with a library that they load, in alphabetical order.

    Left out is what apt adds for an installed service: debconf, iproute2 and the Kerberos and
    capability libraries it pulls in, nginx-common (init scripts, /etc/nginx), nginx's stream
    module, which no configuration of ours loads.
    """
    folders = [f for root in roots.values() for f in sorted(root.glob("usr/lib/*-linux-gnu*"))]
    loader = next(iter(sorted(roots["libc6"].glob("usr/lib/*-linux-gnu*/ld-linux-*.so.*"))), None)
    if loader is None:
        raise EngineError("libc6 has no loader where Debian 13 keeps it")
    programs = [
        roots["nginx"] / "usr/sbin/nginx",
        *(
            module
            for name in wanted
            for module in roots[name].glob("usr/lib/nginx/modules/*_module.so")
        ),
    ]
    files = [file for program in programs for file in loaded_files(loader, folders, program)]
    owners = {name for name, root in roots.items() if any(f.is_relative_to(root) for f in files)}
    return sorted({*wanted, "libc6", *owners})


def loaded_files(loader: Path, folders: Sequence[Path], program: Path) -> list[Path]:
    """The shared libraries that the loader would map for `program`, as it says itself."""
    path = ":".join(map(str, folders))
    command = [str(loader), "--library-path", path, "--list", str(program)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0 or "not found" in ran.stdout:
        said = (ran.stderr + ran.stdout).strip()
        raise EngineError(f"a library is missing: {said}", where=program.name)
    return [Path(file) for file in re.findall(r"=> (/\S.*) \(0x", ran.stdout)]


def _check_self_contained(root: Path) -> None:
    """A library taken from the machine would work today and break at its next upgrade."""
    for loader in (root / "usr/lib").glob("*-linux-gnu*/ld-linux-*.so.*"):
        programs = [root / "usr/sbin/nginx", *(root / "usr/lib/nginx/modules").glob("*.so")]
        for program in programs:
            for file in loaded_files(loader, [loader.parent], program):
                if not file.is_relative_to(root):
                    raise EngineError(f"it would use {file} of this machine", where=program.name)


def package_name(package: Path) -> str:
    """`libpcre2-8-0_10.46-1_amd64.deb` → libpcre2-8-0"""
    return package.name.partition("_")[0]


def package_version(package: Path) -> str:
    """`zlib1g_1%3a1.3.1-1_amd64.deb` → 1:1.3.1-1; apt escapes the colon of an epoch."""
    return urllib.parse.unquote(package.name.split("_")[1])


def manifest_line(package: Path) -> str:
    """One line of `packages.txt`: what is in the folder, for audits."""
    with package.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{package_name(package)} {package_version(package)} sha256:{checksum}\n"


@contextmanager
def _only_one_at_a_time(engines: Path) -> Iterator[None]:
    """A second installer waits here, and then finds the engine already there."""
    with (engines / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
