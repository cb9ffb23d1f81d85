"""Something that was checked, for people: `audit` and `doctor`."""

from __future__ import annotations

import textwrap
from typing import Protocol

_WIDTH = 80
_INDENT = 8


class CheckedFile(Protocol):
    """As hardening/check.py has it."""

    @property
    def name(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def mend(self) -> str: ...


def print_check(each: CheckedFile) -> None:
    """What was found, and below it what to do about it."""
    label = each.severity if each.outcome == "bad" else each.outcome
    print(f"{label:{_INDENT}}{each.name}")
    for text in (each.what, each.mend and f"→ {each.mend}"):
        space = " " * _INDENT
        lines = textwrap.wrap(
            text,
            _WIDTH,
            initial_indent=space,
            subsequent_indent=space,
            break_long_words=False,
            break_on_hyphens=False,
        )
        print("\n".join(lines), end="\n" if lines else "")
