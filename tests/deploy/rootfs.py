"""Debians as tarballs, made by debootstrap from the mirror of this machine's own apt and kept below
the tests' cache.

One has systemd, and the packages that an installation in it asks apt for: in the network of those
tests nothing can be fetched, so apt's lists and archives are in it. The fresh ones have nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from infergate.engine.debian_apt import KEYRINGS, sources_text
from infergate.engine.debian_mirror import SUITE, machine_mirrors
from tests.cache import CACHE
from tests.deploy.run import attempt

HOME = CACHE / "lxc"
TEMPLATE = HOME / "debian-13.tar"
EC2_TEMPLATE = HOME / "debian-13-ec2.tar"
"""The same with cloud-init, as Debian's image for EC2 has it."""

_INSIDE = (
    *("ca-certificates", "curl", "dbus", "debian-archive-keyring"),
    *("iproute2", "systemd", "systemd-sysv"),
)
_ASKED_FOR = (
    *("fail2ban", "libnginx-mod-http-js", "libnginx-mod-http-modsecurity", "logrotate"),
    *("modsecurity-crs", "nftables", "nginx", "python3", "python3-systemd", "unattended-upgrades"),
)
_INSTALL = ["install", "--no-install-recommends"]
_FETCH = [*_INSTALL, "--download-only", *_ASKED_FOR]
CA = Path("/etc/ssl/certs/ca-certificates.crt")


def fresh(suite: str) -> Path:
    """The tarball of a Debian as it is before anything is installed."""
    return HOME / f"fresh-{suite}.tar"


def bring() -> str | None:
    """Make the one with systemd if it is not there; why it cannot be had, or None."""
    if TEMPLATE.exists():
        return None
    root = HOME / "root"
    if problem := _bootstrap(root, SUITE, _INSIDE):
        return problem
    apt = ["chroot", str(root), "apt-get", "-q", "--yes"]
    for words in (["clean"], _FETCH):
        if problem := attempt([*apt, *words], 900):
            return problem
    (root / "etc/hostname").unlink(missing_ok=True)
    return _packed(root, TEMPLATE)


def bring_fresh(suite: str) -> str | None:
    """The same of a fresh one; what apt fetched for it is not kept."""
    if fresh(suite).exists():
        return None
    root = HOME / f"fresh-{suite}"
    if problem := _bootstrap(root, suite, ("ca-certificates",)):
        return problem
    if problem := attempt(["chroot", str(root), "apt-get", "clean"], 60):
        return problem
    return _packed(root, fresh(suite))


def bring_ec2() -> str | None:
    """The same of the one with cloud-init, which needs the other."""
    if EC2_TEMPLATE.exists():
        return None
    root = HOME / "ec2-root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    if problem := attempt(["tar", "-C", str(root), "--numeric-owner", "-xf", str(TEMPLATE)], 300):
        return problem
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    apt = ["chroot", str(root), "apt-get", "-q", "--yes"]
    for words in (["update"], [*_INSTALL, "cloud-init"], _FETCH):
        if problem := attempt([*apt, *words], 900):
            return problem
    return _packed(root, EC2_TEMPLATE)


def _bootstrap(root: Path, suite: str, include: tuple[str, ...]) -> str | None:
    """A folder with what this release has by now, and the machine's mirror in apt's sources."""
    mirrors = machine_mirrors()
    if mirrors is None:
        return "apt on this machine has no Debian mirror"
    shutil.rmtree(root, ignore_errors=True)
    HOME.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(include)}"]
    if problem := attempt([*command, suite, str(root), mirrors.archive], 1800):
        return problem
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    sources = sources_text(mirrors, KEYRINGS[0], suite)
    (root / "etc/apt/sources.list.d/debian.sources").write_text(sources)
    (root / "etc/apt/apt.conf.d/99no-translations").write_text('Acquire::Languages "none";\n')
    shutil.copy(CA, root / "etc/ssl/certs/ca-certificates.crt")  # the machine's mirror may be TLS
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    apt = ["chroot", str(root), "apt-get", "-q", "--yes"]
    for words in (["update"], ["dist-upgrade"]):
        if problem := attempt([*apt, *words], 900):
            return problem
    return None


def _packed(root: Path, template: Path) -> str | None:
    (root / "etc/resolv.conf").write_text("")
    unfinished = template.with_suffix(".new")
    problem = attempt(["tar", "-C", str(root), "--numeric-owner", "-cf", str(unfinished), "."], 300)
    shutil.rmtree(root, ignore_errors=True)
    if problem is None:
        unfinished.rename(template)
    return problem
