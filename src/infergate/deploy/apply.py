"""What `--apply` needs of this machine, whatever the kind; asked before anything is written."""

from __future__ import annotations

import os

from infergate.errors import StateError


def need_root() -> None:
    """Raises StateError for anybody but root."""
    if os.geteuid() != 0:
        raise StateError(
            "--apply changes this machine, which only root may",
            hint="Run it with sudo; or without --apply, and then what it says is next.",
        )
