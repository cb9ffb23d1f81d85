"""Long lists in parts: always in the same order, each part named by where the last one ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def page_of(
    items: Iterable[T], name: Callable[[T], str], after: str, limit: int
) -> tuple[list[T], str | None]:
    """Those whose names follow `after`, at most `limit`; and the name to go on after, None at the
    end."""
    rest = sorted((each for each in items if name(each) > after), key=name)
    page = rest[:limit]
    return page, name(page[-1]) if len(rest) > limit else None
