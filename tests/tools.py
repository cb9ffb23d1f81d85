"""What tests need from elsewhere: pebble, an ACME server; sslyze, testssl and gixy, scanners;
Prometheus.

`python -m tests.tools` brings pebble, testssl and Prometheus from Debian where apt may, the others
from PyPI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cache import CACHE
from tests.scanners import GIXY, SSLYZE
from tests.scanners import install as install_scanner

_PACKAGES = {
    "pebble": "pebble",
    "testssl": "testssl.sh",
    "promtool": "prometheus",
    "rsyslogd": "rsyslog-elasticsearch",
}
_OMELASTICSEARCH = "rsyslog/omelasticsearch.so"
"""rsyslog's module, below /usr/lib/TRIPLET; a machine may have rsyslog without it."""


def promtool() -> str | None:
    """Prometheus' program that looks at rules, where it is installed; `prometheus` is beside it."""
    return shutil.which("promtool")


def missing() -> list[str]:
    """The programs that are not there."""
    absent = [program for program in _PACKAGES if not _is_there(program)]
    return [*absent, *(each.name for each in (SSLYZE, GIXY) if not each.exists())]


def _is_there(program: str) -> bool:
    # As a user, /usr/sbin is not in $PATH.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if program == "rsyslogd" and not any(Path("/usr/lib").glob(f"*/{_OMELASTICSEARCH}")):
        return False
    return shutil.which(program, path=path) is not None


def install() -> str | None:
    """Bring what is missing; why it cannot be had, or None."""
    for scanner in (SSLYZE, GIXY):
        problem = install_scanner(scanner)
        if problem is not None:
            return problem
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
            f"Tools cannot be had here, their tests are skipped:\n{problem}",
            file=sys.stderr,
        )
        sys.exit(1 if os.environ.get("CI") else 0)
