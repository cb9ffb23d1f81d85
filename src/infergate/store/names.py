"""Names of keys, teams and policies."""

from __future__ import annotations

import re
from collections.abc import Iterable

from infergate.config.problems import did_you_mean
from infergate.errors import KeyInputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@ -]{0,62}")


def checked_name(name: str, what: str) -> str:
    """The name itself. what: "key", "team" or "policy". Raises KeyInputError for one that would
    break a line of the log, a table or a command."""
    if not _NAME.fullmatch(name):
        raise KeyInputError(
            f"{name!r} is not a name for a {what}",
            hint="Letters, digits, spaces and '_.@-', at most 63; the first no sign.",
        )
    return name


def unknown(name: str, what: str, known: Iterable[str], hint: str) -> KeyInputError:
    """The error for a name that nothing has."""
    return KeyInputError(f"there is no {what} {name!r}{did_you_mean(name, known)}", hint=hint)
