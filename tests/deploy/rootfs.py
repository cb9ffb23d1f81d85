"""A Debian 13 with systemd as a tarball, and the packages that an installation in it asks apt for.

Made by debootstrap from the mirror of this machine's own apt, kept below the tests' cache. In the
networks of these tests nothing can be fetched, so apt's lists and archives are in it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from infergate.nginx.debian_apt import KEYRINGS, sources_text
from infergate.nginx.debian_mirror import SUITE, machine_mirrors
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
_CA = Path("/etc/ssl/certs/ca-certificates.crt")


def bring() -> str | None:
    """Make it if it is not there; why it cannot be had, or None."""
    if TEMPLATE.exists():
        return None
    mirrors = machine_mirrors()
    if mirrors is None:
        return "apt on this machine has no Debian mirror"
    root = HOME / "root"
    shutil.rmtree(root, ignore_errors=True)
    HOME.mkdir(parents=True, exist_ok=True)
    include = f"--include={','.join(_INSIDE)}"
    command = ["debootstrap", "--variant=minbase", include, SUITE, str(root), mirrors.archive]
    if problem := attempt(command, 1800):
        return problem
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    sources = sources_text(mirrors, KEYRINGS[0])
    (root / "etc/apt/sources.list.d/debian.sources").write_text(sources)
    (root / "etc/apt/apt.conf.d/99no-translations").write_text('Acquire::Languages "none";\n')
    shutil.copy(_CA, root / "etc/ssl/certs/ca-certificates.crt")  # the machine's mirror may be TLS
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    apt = ["chroot", str(root), "apt-get", "-q", "--yes"]
    for words in (["update"], ["dist-upgrade"], ["clean"], _FETCH):
        if problem := attempt([*apt, *words], 900):
            return problem
    (root / "etc/hostname").unlink(missing_ok=True)
    return _packed(root, TEMPLATE)


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


def _packed(root: Path, template: Path) -> str | None:
    (root / "etc/resolv.conf").write_text("")
    unfinished = template.with_suffix(".new")
    problem = attempt(["tar", "-C", str(root), "--numeric-owner", "-cf", str(unfinished), "."], 300)
    shutil.rmtree(root, ignore_errors=True)
    if problem is None:
        unfinished.rename(template)
    return problem
