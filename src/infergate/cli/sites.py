"""What is said about nginx files written by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infergate.config.load import LoadedConfig
    from infergate.paths import Home


def warn_of_sites(loaded: LoadedConfig, home: Home) -> None:
    """Print what is doubtful in the files of sites-enabled/, each as file:line."""
    if not home.sites_enabled.exists():
        return
    from infergate.nginx.hand_written import by_hand, examine
    from infergate.nginx.ways_past_keys import known

    backends = known(loaded.config, {})
    for written in by_hand(home):
        for finding in examine(written, backends):
            print(f"warning: {finding}", file=sys.stderr)
