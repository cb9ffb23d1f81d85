"""What the API tier's processes are started with, and the sockets on which nginx asks them."""

from __future__ import annotations

import json
import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infergate.contract.tier import SETTINGS_FILE
from infergate.paths import Home
from infergate.supervise.admin_api import unix_socket

_BACKLOG = 1024


def tier_settings(home: Home) -> Mapping[str, Any] | None:
    """The active revision's (nginx/tier.py); None where it has no `api`."""
    return settings_in(home.current)


def settings_in(folder: Path) -> Mapping[str, Any] | None:
    """The same of the revision in this folder."""
    try:
        told: Mapping[str, Any] = json.loads((folder / SETTINGS_FILE).read_text())
    except (OSError, ValueError):
        return None
    return told


def tier_socket(path: Path, user: str | None) -> socket.socket:
    """Listens for nginx's workers. user: who they are, if they are not us.

    Raises EngineError, KeyError where there is no such user, or OSError.
    """
    found = unix_socket(path, 0o117)
    if user is not None:
        os.chown(path, -1, pwd.getpwnam(user).pw_gid)
    found.listen(_BACKLOG)
    return found
