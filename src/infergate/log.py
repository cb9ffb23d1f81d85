"""How the Python processes log: one line an event, to standard error.

Lines for people on a terminal, JSON anywhere else. It is written here because a logging library
costs every process that a gateway starts a tenth of a second and 8 MB.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from datetime import datetime

from infergate.shown import shown, shown_text

_EVENT_COLUMNS = 30
"""On a terminal: as wide is what happened, at least, so that the facts stand below each other."""


class GatewayLog:
    """Says what happened, with facts by name. The same for all modules of a process."""

    def info(self, event: str, **facts: object) -> None:
        _write("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        _write("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        _write("error", event, facts)

    def exception(self, event: str, **facts: object) -> None:
        """An error with the traceback of the exception that is being handled."""
        _write("error", event, {**facts, "exception": traceback.format_exc().rstrip("\n")})


log = GatewayLog()


def _write(level: str, event: str, facts: dict[str, object]) -> None:
    # What backends and clients said is in the facts, too.
    harmless = {
        name: value
        if not isinstance(value, str)
        else shown_text(value)
        if name == "exception"
        else shown(value)
        for name, value in facts.items()
    }
    line = _for_people if sys.stderr.isatty() else _as_json
    # A terminal that was closed ends nobody who writes there.
    with contextlib.suppress(OSError):
        sys.stderr.write(line(level, shown(event), harmless) + "\n")
        sys.stderr.flush()


def _as_json(level: str, event: str, facts: dict[str, object]) -> str:
    when = datetime.now().isoformat()
    return json.dumps({**facts, "event": event, "level": level, "timestamp": when}, default=repr)


def _for_people(level: str, event: str, facts: dict[str, object]) -> str:
    trace = facts.pop("exception", None)
    told = " ".join(f"{name}={_bare(value)}" for name, value in facts.items())
    start = f"{time.strftime('%H:%M:%S')} [{level:<7}] {event:<{_EVENT_COLUMNS}} {told}".rstrip()
    return start if trace is None else f"{start}\n{trace}"


def _bare(value: object) -> str:
    """A text without quotes where nothing in it needs them."""
    bare = isinstance(value, str) and value != "" and not set(value) & set(" \"'=")
    return str(value) if bare else repr(value)
