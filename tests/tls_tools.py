"""What the tests of TLS need from elsewhere: pebble, an ACME server; sslyze and testssl, scanners.

`python -m tests.tls_tools` brings pebble from Debian where apt may, and sslyze from PyPI in a
virtual environment of its own: it wants an older `cryptography` than we have.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.cache import CACHE

_PINNED = Path(__file__).with_name("requirements-sslyze.txt")
SSLYZE = CACHE / f"sslyze-{hashlib.sha256(_PINNED.read_bytes()).hexdigest()[:12]}" / "bin/sslyze"
_PACKAGES = {"pebble": "pebble", "testssl": "testssl.sh"}


def missing() -> list[str]:
    """The programs that are not there."""
    absent = [program for program in _PACKAGES if shutil.which(program) is None]
    return absent if SSLYZE.exists() else [*absent, "sslyze"]


def install() -> str | None:
    """Bring what is missing; why it cannot be had, or None."""
    if not SSLYZE.exists():
        folder = SSLYZE.parents[1]
        venv.create(folder, with_pip=True, clear=True)
        command = [str(folder / "bin/pip"), "install", "--quiet", "--require-hashes"]
        command += ["-r", str(_PINNED)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            return ran.stderr.strip()
    packages = [_PACKAGES[program] for program in missing()]
    if not packages:
        return None
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"installing {', '.join(packages)} needs root and apt-get"
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    words = ""
    bring = ["install", "-y", "--no-install-recommends", *packages]
    for arguments in (bring, ["update"], bring):  # the lists may be old, or not there
        ran = subprocess.run(
            ["apt-get", *arguments], env=environ, capture_output=True, text=True, check=False
        )
        words = ran.stderr.strip()
        if not missing():
            return None
    return words


if __name__ == "__main__":
    Path(CACHE).mkdir(parents=True, exist_ok=True)
    problem = install()
    if problem is not None:
        print(
            f"Tools for TLS cannot be had here, their tests are skipped:\n{problem}",
            file=sys.stderr,
        )
        sys.exit(1 if os.environ.get("CI") else 0)
