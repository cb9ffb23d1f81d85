"""Plain tables: quick for ten thousand rows, and good to pipe into other tools."""

from __future__ import annotations

from collections.abc import Sequence

from infergate.shown import shown


def print_rows(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right_from: int | None = None
) -> None:
    """A table with columns as wide as they must be. right_from: the first column of numbers."""
    rows = [[shown(text) for text in row] for row in rows]
    first = len(head) if right_from is None else right_from
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    for row in (head, *rows):
        cells = [
            text.rjust(width) if at >= first else text.ljust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
