"""Commands that bring what the tests of deployments need."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def attempt(
    command: Sequence[str],
    timeout_s: float,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> str | None:
    """Why it failed, or None."""
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            env={**(environ or os.environ), "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    if ran.returncode == 0:
        return None
    return f"{command[0]}: {ran.stderr.strip()[-2000:] or ran.stdout.strip()[-2000:]}"
