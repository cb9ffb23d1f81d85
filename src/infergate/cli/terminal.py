"""The one way to the terminal: nothing from outside does there what it says (shown.py)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from infergate.shown import shown, shown_text

if TYPE_CHECKING:
    from rich.text import Text

Cell = str | tuple[str, str]
"""Text, or text with a style of rich ("bold", "red")."""


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
    """Everything that is printed inside goes through here, whoever prints it."""
    with (
        contextlib.redirect_stdout(_Harmless(sys.stdout)),
        contextlib.redirect_stderr(_Harmless(sys.stderr)),
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
        self, head: Sequence[str], rows: Iterable[Sequence[Cell]], *, numbers: Sequence[str] = ()
    ) -> None:
        """Columns, of which the last is folded. numbers: those that stand at the right."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in head:
            if name == head[-1]:
                table.add_column(name, overflow="fold")
            else:
                table.add_column(name, no_wrap=True, justify="right" if name in numbers else "left")
        for row in rows:
            table.add_row(*(_text(cell) for cell in row))
        self._console.print(table)


def lines_of(lines: Iterable[Sequence[Cell]]) -> Text:
    """Lines made of such parts, as rich wants them; one that is too long is cut."""
    from rich.text import Text

    parts = (Text.assemble(*(_text(part) for part in line)) for line in lines)
    return Text("\n", no_wrap=True, overflow="crop", end="").join(parts)


def _text(cell: Cell) -> Text:
    from rich.text import Text

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(shown(text), style=style)
