"""Every step of an apply killed, on both engines, round after round."""

from __future__ import annotations

import pytest

from tests.engine.test_killed_applies import Killed, killed
from tests.killed_apply import apply_killed

__all__ = ["killed"]


@pytest.mark.parametrize("round_", range(3))
@pytest.mark.parametrize("reload", [True, False])
def test_no_killed_apply_leaves_anything_mixed(
    killed: Killed, round_: int, *, reload: bool
) -> None:
    killed.write(reload=reload)
    for step in range(len(apply_killed(killed.it, None))):
        killed.write(reload=reload)
        apply_killed(killed.it, step)
        killed.check()
