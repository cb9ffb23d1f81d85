"""A large configuration is read once for a start: by the command that looks whether it is right.

The YAML of 1,000 backends takes longer to read than all else that is done with it.
"""

from __future__ import annotations

import contextlib

from infergate.config import document
from infergate.config.load import LoadedConfig
from infergate.errors import StateError
from infergate.files import write_atomically
from infergate.paths import Home
from infergate.state_file import read_state

_SMALLEST = 20_000
"""Characters, of a fifth of a second: below, a file more costs about as much."""


def hand_on(loaded: LoadedConfig, home: Home) -> None:
    """Leave what was read of it for the process that prepares the start."""
    if len(loaded.text) < _SMALLEST:
        return
    said = document.handed_on(loaded.text, loaded.path.name)
    with contextlib.suppress(StateError, OSError):  # it is read again, or somebody says why not
        home.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(home.read_already, said)


def take_over(home: Home) -> None:
    """Know what was left: a file that changed since then is read all the same."""
    with contextlib.suppress(StateError, OSError):
        read_state(home.read_already, document.take_over)
        home.read_already.unlink(missing_ok=True)
