"""That something is under way: for people at a terminal, and nobody else."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from infergate.shown import shown


@contextlib.contextmanager
def busy(what: str) -> Iterator[None]:
    """A line that moves, on standard error, while what is inside takes its time; nothing is left of
    it, and nothing is there where that is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    from infergate.cli.terminal import raw

    console = Console(file=raw(sys.stderr), highlight=False, markup=False, emoji=False)
    with console.status(Text(shown(what) + " …")):
        yield
