"""Server-sent events as they come in pieces (WHATWG, 9.2.6): the data of each."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r|\r\n\n|\n\r\n")
_LINE = re.compile(rb"\r\n|\n|\r")
LONGEST = 16 * 1024**2
"""Bytes of one event; what is longer is none."""


class EventTooLong(Exception):
    """A stream without an end of an event."""


class Reader:
    """Of one stream."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The data of each event that is here to its end. Raises EventTooLong."""
        self._rest += data
        start = 0
        for blank in _BLANK.finditer(self._rest):
            if blank.end() == len(self._rest) and self._rest.endswith(b"\r"):
                break  # its \n may be on its way
            yield from _data(self._rest[start : blank.start()])
            start = blank.end()
        self._rest = self._rest[start:]
        if len(self._rest) > LONGEST:
            raise EventTooLong

    def end(self) -> Iterator[bytes]:
        """Of one that has no empty line behind it: servers forget that at the end."""
        yield from _data(self._rest)
        self._rest = b""


def _data(event: bytes) -> Iterator[bytes]:
    lines = [
        line[5:].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(b"data:")
    ]
    if lines:
        yield b"\n".join(lines)
