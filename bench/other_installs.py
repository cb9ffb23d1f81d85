"""Installs the other gateways of the comparison once, and keeps them outside the checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CACHE = Path(os.environ.get("INFERGATE_BENCH_CACHE", "~/.cache/infergate-bench")).expanduser()
LITELLM, VLLM_ROUTER, SGLANG_ROUTER, PORTKEY = "1.106.2", "0.1.17", "0.3.2", "1.15.2"
HONO = "@hono/node-server@1.13.5 @hono/node-ws@1.2.0"
"""What Portkey's own lock file has; with newer ones it cannot stream (Portkey-AI/gateway#1389)."""


class NotInstalled(Exception):
    """It cannot be installed or started here; the text says why."""


def run(
    *command: str | Path, cwd: Path | None = None, environ: dict[str, str] | None = None
) -> str:
    """Its output. Raises NotInstalled with the end of what it complained of."""
    try:
        return subprocess.run(
            [str(part) for part in command],
            check=True,
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, **(environ or {})},
        ).stdout
    except FileNotFoundError:
        raise NotInstalled(f"there is no {command[0]}") from None
    except subprocess.CalledProcessError as problem:
        raise NotInstalled(f"{command[0]}: {problem.stderr.strip()[-400:]}") from None


def _pip(requirement: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder)
        pip = (folder / "bin" / "python", "-m", "pip", "install", "-qq")
        run(*pip, "--disable-pip-version-check", requirement)

    return build


def _npm(packages: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        options = ("--no-fund", "--no-audit", "--ignore-scripts")
        run("npm", "install", "--prefix", folder, *options, *packages.split())

    return build


def _apt_haproxy(folder: Path) -> None:
    """The machine's own, or its distribution's, unpacked with the libraries that are missing."""
    program, ours = Path("/usr/sbin/haproxy"), folder / "usr" / "sbin" / "haproxy"
    if program.exists():
        ours.parent.mkdir(parents=True)
        ours.symlink_to(program)
        return
    # "Inst liblua5.3-0 (5.3.6-2 Debian:12.0/stable [amd64])": all that an install would bring
    planned = run("apt-get", "--simulate", "--no-install-recommends", "install", "haproxy")
    names = [line.split()[1] for line in planned.splitlines() if line.startswith("Inst ")]
    folder.mkdir()
    run("apt-get", "download", *names, cwd=folder)
    for package in folder.glob("*.deb"):
        run("dpkg", "-x", package, folder)
        package.unlink()


RECIPES: dict[str, tuple[str, Callable[[Path], None]]] = {
    name: (wanted, how(wanted))
    for name, wanted, how in (
        ("litellm", f"litellm[proxy]=={LITELLM}", _pip),
        ("vllm-router", f"vllm-router=={VLLM_ROUTER}", _pip),
        ("sglang-router", f"sglang-router=={SGLANG_ROUTER}", _pip),
        ("portkey", f"@portkey-ai/gateway@{PORTKEY} {HONO}", _npm),
    )
}
RECIPES["haproxy"] = ("haproxy", _apt_haproxy)
"""What is installed, by name, and how; another version than the cache's is installed anew."""


def install(name: str) -> Path:
    """The folder that holds it, in the cache; filled the first time. Raises NotInstalled."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder, (wanted, build) = CACHE / name, RECIPES[name]
    ready = folder / ".ready"
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists() and ready.read_text() == wanted:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {wanted} (once, kept in the cache) …", flush=True)
        build(folder)
        ready.write_text(wanted)
    return folder
