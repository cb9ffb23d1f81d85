"""How far budgets are used, as a file: to look at all of them takes too long for who only asks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infergate.config.metrics import MOST_KEYS
from infergate.files import write_atomically
from infergate.state.budgets import Share
from infergate.state_file import read_state

NEARLY = 0.9
"""From this share of it on, a budget is nearly spent."""


@dataclass(frozen=True)
class BudgetUse:
    """One budget. key or team: whose it is. ends: when it begins anew, Unix seconds."""

    key: str
    team: str
    budget: str
    ratio: float
    ends: int


@dataclass(frozen=True)
class BudgetUses:
    """Those of which the most is used, and how many are nearly spent."""

    nearly_spent: int
    first: tuple[BudgetUse, ...]


def write_uses(path: Path, shares: Sequence[Share]) -> None:
    """Leave them for who asks. Raises StateError if the disk refuses."""
    ordered = sorted(shares, key=lambda share: -share.ratio)[:MOST_KEYS]
    first = [
        asdict(BudgetUse(each.key, each.team, each.budget.text, each.ratio, each.ends))
        for each in ordered
    ]
    nearly = sum(share.ratio >= NEARLY for share in shares)
    write_atomically(path, json.dumps({"nearly_spent": nearly, "first": first}))


def read_uses(path: Path) -> BudgetUses | None:
    """What was last written; None if there is nothing that can be read."""

    def understood(said: dict[str, Any]) -> BudgetUses:
        return BudgetUses(
            int(said["nearly_spent"]), tuple(BudgetUse(**each) for each in said["first"])
        )

    return read_state(path, understood)
