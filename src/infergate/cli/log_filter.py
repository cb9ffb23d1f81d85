"""Which lines of the access log `infergate logs` shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from infergate.cli.options import load_applied
from infergate.errors import UserError
from infergate.ledger.line import request_in

Wanted = Callable[[str], bool]

_STATUS = re.compile(r"[1-5](?:xx|\d\d)", re.IGNORECASE)


def filter_of(
    config: Path | None, *, key: str | None, team: str | None, model: str | None, status: str | None
) -> Wanted:
    """Whether a line is wanted; all are where nothing is asked. Raises UserError for no status."""
    if status is not None and not _STATUS.fullmatch(status):
        raise UserError(f"{status!r} is no status", where="--status", hint="Such as 429, or 5xx.")
    keys = None if team is None else _keys_of(config, team)
    begins = "" if status is None else status.lower().rstrip("x")
    if (key, keys, model, status) == (None, None, None, None):
        return lambda _line: True

    def wanted(line: str) -> bool:
        entry = request_in(line)
        return (
            entry is not None
            and (key is None or entry.get("key") == key)
            and (keys is None or entry.get("key") in keys)
            and (
                model is None
                or model in (entry.get("gen_ai.request.model"), entry.get("model_asked"))
            )
            and str(entry.get("status", "")).startswith(begins)
        )

    return wanted


def _keys_of(config: Path | None, team: str) -> frozenset[str]:
    """The names of a team's keys."""
    from infergate.store.database import database_for
    from infergate.store.keys import all_keys

    loaded, home = load_applied(config)
    stored = all_keys(database_for(loaded.config, home))
    declared = loaded.config.auth.keys.items()
    return frozenset(
        (
            *(each.name for each in stored if each.team == team),
            *(name for name, each in declared if each.team == team),
        )
    )
