"""Server-sent events as they come in pieces (WHATWG, 9.2.6): the data of each."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r|\r\n\n|\n\r\n")
_LONGEST_BLANK = 4
_LINE = re.compile(rb"\r\n|\n|\r")
LONGEST = 16 * 1024**2
"""Bytes of one event; what is longer is none."""


class EventTooLong(Exception):
    """A stream without an end of an event."""


class Reader:
    """Of one stream."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._looked = 0  # so far there is no empty line in it

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The data of each event that is here to its end. Raises EventTooLong."""
        rest = self._rest
        rest += data
        # Each byte is looked at once, or an event in many pieces would take minutes.
        events, start = [], 0
        for blank in _BLANK.finditer(rest, self._looked):
            if blank.end() == len(rest) and rest.endswith(b"\r"):
                break  # its \n may be on its way
            events.append(bytes(rest[start : blank.start()]))
            start = blank.end()
        del rest[:start]
        self._looked = max(0, len(rest) - _LONGEST_BLANK)
        for event in events:
            yield from _data(event)
        if len(rest) > LONGEST:
            raise EventTooLong

    def end(self) -> Iterator[bytes]:
        """Of one that has no empty line behind it: servers forget that at the end."""
        yield from _data(bytes(self._rest))
        self._rest.clear()
        self._looked = 0


def _data(event: bytes) -> Iterator[bytes]:
    lines = [
        line[5:].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(b"data:")
    ]
    if lines:
        yield b"\n".join(lines)
