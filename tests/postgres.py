"""A PostgreSQL of its own for tests: Debian's, in a temporary folder, on a unix socket only.

`python -m tests.postgres` installs Debian's package where there is none and apt may.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = "nobody"


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; the newest, if there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _as_nobody(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return command
    user = pwd.getpwnam(_NOBODY)
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, *command]


@contextmanager
def postgres() -> Iterator[str]:
    """A running server; the URL of its database `postgres`. Gone at the end."""
    bin_ = programs()
    assert bin_ is not None
    folder = Path(tempfile.mkdtemp(prefix="ig-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _NOBODY)

    def run(*command: str) -> None:
        subprocess.run(
            _as_nobody(list(command)), check=True, capture_output=True, cwd=folder, timeout=120
        )

    data = str(folder / "data")
    # Nothing here must survive a power cut.
    options = f"-c listen_addresses= -k {folder} -c fsync=off -c max_connections=50"
    try:
        run(str(bin_ / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N")
        run(
            *[str(bin_ / "pg_ctl"), "-D", data, "-w", "-t", "60", "-l", str(folder / "log")],
            *["-o", options, "start"],
        )
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run(str(bin_ / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def install() -> str | None:
    """Bring Debian's PostgreSQL; why it cannot be had, or None."""
    if programs() is not None:
        return None
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return "installing PostgreSQL needs root and apt-get"
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    words = ""
    install_it = ["install", "-y", "--no-install-recommends", "postgresql"]
    for arguments in (install_it, ["update"], install_it):  # the lists may be old, or not there
        result = subprocess.run(
            ["apt-get", *arguments], env=environ, capture_output=True, text=True, check=False
        )
        words = result.stderr.strip()
        if programs() is not None:
            return None
    return words


if __name__ == "__main__":
    problem = install()
    if problem is not None:
        print(f"PostgreSQL cannot be had here, its tests are skipped:\n{problem}", file=sys.stderr)
        sys.exit(1 if os.environ.get("CI") else 0)
