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
        for event in self.events(data):
            yield from _joined(event)

    def events(self, data: bytes) -> Iterator[bytes]:
        """These events as they came, without the empty line behind them. Raises EventTooLong."""
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
        yield from filter(None, events)
        if len(rest) > LONGEST:
            raise EventTooLong

    def end(self) -> Iterator[bytes]:
        """Of one that has no empty line behind it: servers forget that at the end."""
        yield from _joined(self.rest())

    def rest(self) -> bytes:
        """The same as it came; b"" where there is none."""
        rest = bytes(self._rest).strip(b"\r\n")
        self._rest.clear()
        self._looked = 0
        return rest


def data_of(event: bytes) -> list[bytes]:
    """The lines of its data; none where it has none."""
    return [line[5:].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(b"data:")]


def _joined(event: bytes) -> Iterator[bytes]:
    if lines := data_of(event):
        yield b"\n".join(lines)
