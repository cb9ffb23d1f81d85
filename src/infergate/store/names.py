"""Names of keys, teams and policies."""

from __future__ import annotations

import re
from collections.abc import Iterable

from infergate.config.problems import did_you_mean
from infergate.errors import KeyInputError, NotThere

LONGEST_NAME = 63
NAME_PATTERN = f"[A-Za-z0-9][A-Za-z0-9_.@ -]{{0,{LONGEST_NAME - 1}}}"
_NAME = re.compile(NAME_PATTERN)


def checked_name(name: str, what: str) -> str:
    """The name itself. what: "key", "team", "policy" or "token".

    Raises KeyInputError for one that would break a line of the log, a table or a command.
    """
    if not _NAME.fullmatch(name):
        raise KeyInputError(
            f"{name!r} is not a name for a {what}",
            hint="Letters, digits, spaces and '_.@-', at most 63; the first no sign.",
        )
    return name


def unknown(
    name: str,
    what: str,
    known: Iterable[str],
    hint: str,
    error: type[KeyInputError] = NotThere,
) -> KeyInputError:
    """The error for a name that nothing has. error: Conflict where something else refers to it."""
    return error(f"there is no {what} {name!r}{did_you_mean(name, known)}", hint=hint)
