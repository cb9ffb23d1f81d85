"""Which configuration is meant, and which state folder is that gateway's: one for each."""

from __future__ import annotations

import hashlib
import os
import pwd
from pathlib import Path

from infergate.errors import UserError
from infergate.paths import Home

HOME_VARIABLE = "INFERGATE_HOME"
CONFIG_VARIABLE = "INFERGATE_CONFIG"
DEFAULT_NAME = "infergate.yaml"
ROOTS_FOLDER = Path("/var/lib/infergate")
"""Where root's state folders are whose configurations stand where only root may pass."""

GENERATED_NAME = "generated.yaml"
"""Where `infergate up` writes what it found when there is no configuration file."""


def default_config() -> Path:
    """The configuration that is meant where none is named, whether or not it is there."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_NAME)


def home_for(config_path: Path) -> Home:
    """$INFERGATE_HOME, else the folder .infergate beside the configuration file.

    For root, where nobody else may pass (such as below /root), it is a folder of /var/lib/infergate
    instead, unless there is a .infergate already: nginx's workers are another user then.
    Raises UserError for root where it is another user's.
    """
    named = os.environ.get(HOME_VARIABLE)
    if named is None and config_path.name == GENERATED_NAME:
        root = config_path.parent
    elif named:
        root = Path(named).expanduser()
    else:
        root = config_path.parent.absolute() / ".infergate"
        if os.geteuid() == 0 and not root.exists() and _is_closed(root.parent):
            root = ROOTS_FOLDER / _name_of(root.parent)
    home = Home(root.absolute())
    if os.geteuid() == 0:
        _refuse_of_another(home)
    return home


def _is_closed(folder: Path) -> bool:
    """Whether others may not pass on the way to it."""
    return any(
        each.exists() and not each.stat().st_mode & 0o1 for each in (folder, *folder.parents)
    )


def _name_of(folder: Path) -> str:
    """For a folder that holds a gateway's configuration: its own name, and told from others."""
    return f"{folder.name}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"


def _refuse_of_another(home: Home) -> None:
    """Root would follow whatever that user, or who got hold of its nginx, put there: the engine
    that it starts, links in place of files."""
    try:
        owner = home.root.stat().st_uid
    except OSError:
        return  # it is not there
    if owner == 0:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise UserError(
        f"this state folder belongs to {name}, so root does nothing in it",
        where=str(home.root),
        hint=f"Be {name} for it: sudo -u {name} infergate … (or runuser -u {name} -- infergate …).",
    )
