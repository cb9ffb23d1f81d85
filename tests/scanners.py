"""Programs from PyPI that tests run, each in a virtual environment of its own.

sslyze wants an older `cryptography` than we have; gixy brings another nginx parser under the name
of crossplane, which would take the place of the one that Infergate runs with; checkov pins much of
what it needs, and cfn-lint goes with it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import venv
from pathlib import Path

from tests.cache import CACHE


def _program(name: str) -> Path:
    pinned = _pinned(name)
    return CACHE / f"{name}-{hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]}" / "bin" / name


def _pinned(name: str) -> Path:
    return Path(__file__).with_name(f"requirements-{name}.txt")


SSLYZE = _program("sslyze")
GIXY = _program("gixy")
CFN_LINT = _program("cfn-lint")
CHECKOV = _program("checkov")


def install(program: Path) -> str | None:
    """Bring it where it is missing; why it cannot be had, or None."""
    if program.exists():
        return None
    folder = program.parents[1]
    venv.create(folder, with_pip=True, clear=True)
    command = [str(folder / "bin/pip"), "install", "--quiet", "--require-hashes"]
    command += ["-r", str(_pinned(program.name))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        return ran.stderr.strip()
    return None
