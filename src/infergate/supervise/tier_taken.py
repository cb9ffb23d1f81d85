"""Whether the API tier has taken over what was applied: the supervisor does that by itself."""

from __future__ import annotations

import time
from pathlib import Path

from infergate.live.revisions import named
from infergate.paths import Home
from infergate.supervise.instance import running
from infergate.supervise.tier_processes import all_follow
from infergate.supervise.tier_settings import settings_in, tier_settings

_WITHIN_S, _POLL_S = 20.0, 0.02
"""The supervisor looks twice a second; processes of before may then take five to close."""


def tier_has_taken(home: Home, before: Path) -> bool:
    """Wait until the API tier serves by the active revision; False where it does not in time.

    before: the folder of the revision before.
    """
    deadline = time.monotonic() + _WITHIN_S
    if settings_in(before) == tier_settings(home):
        return True
    while running(home).supervisor is not None:
        if all_follow(home.tier_processes, named(home)):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True  # then nobody begins it
