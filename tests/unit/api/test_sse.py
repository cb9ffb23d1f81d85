"""Server-sent events in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from infergate.api import sse
from infergate.api.sse import Reader

EVENTS = [
    b"data: a\n\n",
    b": note\r\n\r\n",
    b"event: x\r\ndata:b\r\ndata: c\r\n\r\n",
    b"data: d\r\r",
]
DATA = [b"a", b"b\nc", b"d", b"e"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_events_are_the_same_in_pieces_of_any_size(size: int) -> None:
    stream, reader = b"".join(EVENTS) + b"data: e", Reader()
    found: list[bytes] = []
    for at in range(0, len(stream), size):
        found += reader.feed(stream[at : at + size])
    assert [*found, *reader.end()] == DATA


class Counted:
    """The expression, and how many bytes it was let look at."""

    looked = 0

    def __init__(self, expression: re.Pattern[bytes]) -> None:
        self._expression = expression

    def finditer(self, text: bytes, at: int = 0) -> Iterator[re.Match[bytes]]:
        self.looked += len(text) - at
        return self._expression.finditer(text, at)


def test_a_large_event_in_many_pieces_is_looked_through_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted, reader = Counted(sse._BLANK), Reader()
    monkeypatch.setattr(sse, "_BLANK", counted)
    for _ in range(1000):
        assert list(reader.feed(b"data: " + b"x" * 94)) == []
    assert counted.looked < 110_000
