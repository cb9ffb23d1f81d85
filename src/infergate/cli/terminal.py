"""The one way to the terminal: nothing from outside does there what it says (shown.py)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from infergate.shown import shown, shown_text

if TYPE_CHECKING:
    from rich.text import Text

Cell = str | tuple[str, str]
"""Text, or text with a style of rich ("bold", "red")."""


_MANY = 100
"""Rows that rich lays out in a tenth of a second; more of them we do, twenty times as fast."""
_GAP = "  "
_NARROWEST = 10
"""Columns of the last one, however little is left for it."""


class _Harmless:
    """A stream on which control characters are shown instead of sent. raw: the stream itself."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        return self.raw.write(shown_text(text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """Everything that is printed inside goes through here, whoever prints it. What was closed
    before we began (`>&-`) is None to Python."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(_Harmless(sys.stdout or nowhere)),
        contextlib.redirect_stderr(_Harmless(sys.stderr or nowhere)),
    ):
        yield


def raw(stream: TextIO) -> TextIO:
    """A stream of this process without the care: for who sends escapes on purpose, and has shown()
    everything else."""
    return stream.raw if isinstance(stream, _Harmless) else stream


class Styled:
    """Lines and tables in colours. Its own escapes are the only ones that reach the terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        # Neither [red] nor :smile: means anything in a name.
        self._console = Console(file=raw(sys.stdout), highlight=False, markup=False, emoji=False)

    @property
    def width(self) -> int:
        """Columns of the terminal, or what $COLUMNS says; 80 where there is none."""
        return self._console.width

    def line(self, *parts: Cell) -> None:
        """One line made of these."""
        from rich.text import Text

        self._console.print(Text.assemble(*(_text(part) for part in parts)))

    def table(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[Cell]],
        *,
        numbers: Sequence[str] = (),
        long: Sequence[str] = (),
        cut_from: int | None = None,
    ) -> None:
        """Columns, of which the last is folded, unless they are many. numbers: those that stand at
        the right; long: those that are folded where they are wider than a third. cut_from: the
        first row whose last cell is cut to a line instead of folded."""
        rows = list(rows)
        if len(rows) > _MANY:
            titles = tuple((name, "bold") for name in head)
            self._long_table([titles, *rows], head, numbers, long)
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in head:
            if name == head[-1]:
                table.add_column(name, overflow="fold")
            elif name in long:
                table.add_column(name, overflow="fold", max_width=self.width // 3)
            else:
                table.add_column(name, no_wrap=True, justify="right" if name in numbers else "left")
        for at, row in enumerate(rows):
            cells = [_text(cell) for cell in row]
            if cut_from is not None and at >= cut_from:
                cells[-1].no_wrap, cells[-1].overflow = True, "ellipsis"
            table.add_row(*cells)
        self._console.print(table)

    def _long_table(
        self,
        rows: Sequence[Sequence[Cell]],
        head: Sequence[str],
        numbers: Sequence[str],
        long: Sequence[str],
    ) -> None:
        from rich.cells import cell_len
        from rich.style import Style

        told = [[_parts(cell) for cell in row] for row in rows]
        widths = [max(cell_len(row[at][0]) for row in told) for at in range(len(head))]
        for at, name in enumerate(head):
            if name in long:
                widths[at] = min(widths[at], self.width // 3)
        left = self.width - sum(widths[:-1]) - len(_GAP) * (len(head) - 1)
        widths[-1] = min(widths[-1], max(left, _NARROWEST))
        coloured = self._console.is_terminal and not self._console.no_color
        known = {style: Style.parse(style) for row in told for _, style in row}
        for row in told:
            folded = [_folded(text, width) for (text, _), width in zip(row, widths, strict=True)]
            for parts in zip_longest(*folded, fillvalue=""):
                cells = []
                for name, (_, style), text, width in zip(head, row, parts, widths, strict=True):
                    gap = " " * (width - cell_len(text))
                    styled = known[style].render(text) if coloured and style and text else text
                    cells.append(gap + styled if name in numbers else styled + gap)
                self._console.file.write(_GAP.join(cells).rstrip() + "\n")


def _folded(text: str, width: int) -> list[str]:
    """The lines of a cell that is so wide."""
    from rich.cells import cell_len, chop_cells

    return [text] if cell_len(text) <= width else chop_cells(text, width)


def _parts(cell: Cell) -> tuple[str, str]:
    text, style = (cell, "") if isinstance(cell, str) else cell
    return shown(text), style


def lines_of(lines: Iterable[Sequence[Cell]]) -> Text:
    """Lines made of such parts, as rich wants them; one that is too long is cut."""
    from rich.text import Text

    parts = (Text.assemble(*(_text(part) for part in line)) for line in lines)
    return Text("\n", no_wrap=True, overflow="crop", end="").join(parts)


def _text(cell: Cell) -> Text:
    from rich.text import Text

    text, style = _parts(cell)
    return Text(text, style=style)
