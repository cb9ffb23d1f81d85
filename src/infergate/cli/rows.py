"""Plain tables: quick for ten thousand rows, and good to pipe into other tools."""

from __future__ import annotations

from collections.abc import Sequence

from infergate.shown import shown

_GAP = "  "
_NARROWEST = 8
"""Of a column whose names are cut."""


def print_rows(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right_from: int | None = None,
    at_most: int | None = None,
) -> None:
    """A table with columns as wide as they must be. right_from: the first column of numbers.
    at_most: columns of the terminal; the widest names are cut for it."""
    rows = [[shown(text) for text in row] for row in rows]
    first = len(head) if right_from is None else right_from
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    if at_most is not None:
        _narrow(widths, first, at_most)
    for row in (head, *rows):
        cells = [
            text.rjust(width) if at >= first else _cut(text, width).ljust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(_GAP.join(cells).rstrip())


def _narrow(widths: list[int], names: int, at_most: int) -> None:
    """Take from the widest of the first columns what is too much, as far as names stay names."""
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - at_most
    while over > 0 and names and max(widths[:names]) > _NARROWEST:
        widths[widths.index(max(widths[:names]))] -= 1
        over -= 1


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
