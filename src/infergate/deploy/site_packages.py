"""The Python packages of a gateway, unpacked for another Python than the one that runs.

pip chooses the wheels of that Python and machine and compares their hashes; nothing is compiled.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from infergate.deploy.requirements import requirements
from infergate.deploy.wheel import wheel
from infergate.errors import StateError

_GLIBC = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
"""What wheels are made for: the C library of Debian 13 is newer than all of them."""


def unpack(folder: Path, *, python: str, machine: str) -> None:
    """Infergate and what it needs, as a site-packages.

    python: such as 3.13. machine: as `uname -m` says it.
    Raises StateError with pip's own words if they cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="ig-wheels-") as made:
        listed = Path(made, "requirements.txt")
        listed.write_text(requirements())
        target = ["--python-version", python, "--implementation", "cp", "--target", str(folder)]
        target += [word for glibc in _GLIBC for word in ("--platform", f"{glibc}_{machine}")]
        _pip(*target, "--require-hashes", "--requirement", str(listed))
    with zipfile.ZipFile(io.BytesIO(wheel()[1])) as ours:
        ours.extractall(folder)
    shutil.rmtree(folder / "bin", ignore_errors=True)  # for this machine's Python


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--only-binary", ":all:", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise StateError(
            f"pip could not bring the packages:\n  {ran.stderr.strip()[-1500:]}",
            hint="It needs the package index once (pip's own settings say where that is).",
        )
