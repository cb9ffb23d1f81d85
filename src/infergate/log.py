"""How the Python processes log: one line an event, to standard error."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from infergate.shown import shown, shown_text


def _harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What backends and clients said is in it, too."""
    return {
        name: value
        if not isinstance(value, str)
        else shown_text(value)
        if name == "exception"
        else shown(value)
        for name, value in event.items()
    }


class _Lossy:
    """Standard error that may be gone: a terminal that was closed ends nobody who writes there."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()


def log_of_state() -> Any:
    """The log of what any process may find wrong in the state folder; in a command, too, it is
    standard error, because its standard output is its answer."""
    if not structlog.is_configured():
        set_up_logging()
    return structlog.get_logger("infergate.state")


def set_up_logging() -> None:
    """Lines for people on a terminal, JSON anywhere else."""
    on_terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if on_terminal else "iso", utc=False),
            structlog.processors.format_exc_info,
            _harmless,
            structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
