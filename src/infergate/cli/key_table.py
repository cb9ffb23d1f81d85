"""Keys for people: the list, and one in full."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from infergate.admin.keys import Key
from infergate.cli.rows import print_rows


def print_keys(stored: Sequence[Key], declared: Iterable[str], from_file: Iterable[str]) -> None:
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
    rows += [("-", name, "-", "-", "all", "-", "valid") for name in from_file]
    if not rows:
        print("There are no keys yet. `infergate keys create NAME` makes one.")
        return
    print_rows(("ID", "NAME", "STARTS WITH", "TEAM", "MODELS", "POLICY", "STATE"), rows)


def _models(key: Key) -> str:
    if "models" not in key.model_fields_set:
        return "all" if key.policy is None else "as its policy"
    return ", ".join(key.models) if key.models != ["*"] else "all"


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return time.strftime("revoked %Y-%m-%d", time.localtime(key.revoked_at))
    if key.expires_at is None:
        return "valid"
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(key.expires_at))
    return f"expired {day}" if key.expires_at < time.time() else f"until {day}"


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
