"""How long to wait before what failed is started again."""

from __future__ import annotations

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 10.0
STEADY_S = 30.0
"""What lived this long is not failing; its next start waits the shortest time again."""


class Backoff:
    """How long to wait before the next start: doubling, up to ten seconds."""

    def __init__(self) -> None:
        self._delay_s = _FIRST_DELAY_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait after something that lived that long."""
        if lived_s > STEADY_S:
            self._delay_s = _FIRST_DELAY_S
        delay_s, self._delay_s = self._delay_s, min(self._delay_s * 2, _LONGEST_DELAY_S)
        return delay_s
