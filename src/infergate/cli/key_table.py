"""Keys for people: the list, and one in full."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from infergate.cli.rows import print_rows
from infergate.config.budgets import NANO, parse_budget, window_of
from infergate.config.policies import Grant
from infergate.state.keys import FileKey
from infergate.store.database import Database
from infergate.store.keys import StoredKey
from infergate.store.usage import Period, Spent, spent

_NOTHING = Spent(0, 0, 0)


def print_keys(
    stored: Sequence[StoredKey], declared: Iterable[str], from_file: Iterable[FileKey]
) -> None:
    """A row each."""
    rows = [
        (
            key.id,
            key.name,
            key.prefix or "-",
            key.team or "-",
            _models(key),
            key.policy or "-",
            _state(key),
        )
        for key in stored
    ]
    rows += [("-", name, "-", "-", "in the YAML", "-", "valid") for name in declared]
    rows += [("-", key.name, "-", "-", "all", "-", "valid") for key in from_file]
    if not rows:
        print("There are no keys yet. `infergate keys create NAME` makes one.")
        return
    print_rows(("ID", "NAME", "STARTS WITH", "TEAM", "MODELS", "POLICY", "STATE"), rows)


def _models(key: StoredKey) -> str:
    if "models" not in key.allowed.model_fields_set:
        return "all" if key.policy is None else "as its policy"
    return ", ".join(key.allowed.models) if key.allowed.models != ["*"] else "all"


def _state(key: StoredKey) -> str:
    if key.revoked_at is not None:
        return time.strftime("revoked %Y-%m-%d", time.localtime(key.revoked_at))
    if key.expires_at is None:
        return "valid"
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(key.expires_at))
    return f"expired {day}" if key.expires_at < time.time() else f"until {day}"


def key_in_full(
    database: Database, key: StoredKey, policy: Grant | None, now: float
) -> dict[str, Any]:
    """One key, what holds for it together with its policy, and what its budgets have left."""
    allowed = key.allowed if policy is None else key.allowed.over(policy)
    budgets = []
    for budget in map(parse_budget, allowed.budget):
        began, ends = window_of(budget.window, now)
        period: Period = "h" if budget.window == "hour" else "d"
        since = began
        if key.created_at > began:
            period, since = "h", key.created_at // 3600 * 3600
        with database.read() as connection:
            used = spent(connection, period, since, [key.name]).get(key.name, _NOTHING)
        amount = used.cost if budget.currency else getattr(used, budget.what)
        unit = NANO if budget.currency else 1
        budgets.append({"budget": budget.text, "used": amount / unit, "renewed_at": ends})
    return {
        **key.public(),
        **allowed.model_dump(mode="json", exclude_unset=True),
        "budgets": budgets,
        "secrets": [
            {"prefix": each.prefix, "created_at": each.created_at, "valid_until": each.valid_until}
            for each in key.secrets
        ],
    }


def print_key(document: dict[str, Any]) -> None:
    """A line for each thing."""
    for name, value in document.items():
        if value is None or name in ("budget", "budgets", "secrets", "prefix"):
            continue
        shown = _day(value) if name.endswith("_at") else value
        if isinstance(value, list):
            shown = ", ".join(map(str, value)) or "-"
        elif isinstance(value, dict):
            shown = ", ".join(f"{key} {limit}" for key, limit in value.items() if limit is not None)
        print(f"{name:12}{shown}")
    for each in document["secrets"]:
        until = f", valid until {_day(each['valid_until'])}" if each["valid_until"] else ""
        print(
            f"{'secret':12}{each['prefix'] or '(imported)'}… of {_day(each['created_at'])}{until}"
        )
    for each in document["budgets"]:
        print(
            f"{'budget':12}{each['budget']}: {each['used']:,.10g} used, "
            f"renewed {_day(each['renewed_at'])}"
        )


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
