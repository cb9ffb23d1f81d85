"""A log, read on for somebody else than the ledger: each whole line at least once, whoever dies.

The files are the queue. What cannot be handed on now is read again later; so nothing waits in
memory, and the ledger, which reads for itself, knows nothing of it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from infergate.errors import StateError
from infergate.files import replace_or_overwrite
from infergate.ledger.tail import Piece, Tail
from infergate.log import log
from infergate.state_file import read_state

MOST_BEHIND_BYTES = 256 * 1024 * 1024
"""Half a million lines: what somebody who is away gets when he is back. The rest is passed over."""

PORTION_BYTES = 256 * 1024
"""Handed on at once."""

_KEPT_EVERY_S = 1.0


class Follower:
    """One reader of one log. Call `close` at the end."""

    def __init__(self, path: Path, kept: Path) -> None:
        """path: of the log. kept: the file that says how far it was read; without one it begins
        behind what is written by now.

        Raises StateError if that cannot be read.
        """
        self._path, self._kept = path, kept
        positions = read_state(kept, _positions)
        self._tail = Tail(path, positions or {})
        self._written = time.monotonic()
        self.passed_over_bytes = 0
        if positions is None:
            self._tail.skip()
            self._keep()

    def portions(self) -> Iterator[Piece]:
        """What was written since, the oldest file first, in whole lines."""
        behind = self._tail.behind_bytes()
        if behind > MOST_BEHIND_BYTES:
            self.passed_over_bytes += behind
            log.error("a log that could not be handed on is passed over", bytes=behind)
            self._tail.skip()
        for piece in self._tail.pieces():
            start, data = piece.start, piece.data
            if not data:  # a hole
                self.done(piece)
            while data:
                end = data.find(b"\n", min(PORTION_BYTES, len(data)) - 1) + 1 or len(data)
                yield replace(piece, start=start, end=start + end, data=data[:end])
                start, data = start + end, data[end:]

    def done(self, portion: Piece) -> None:
        """It was handed on."""
        self._tail.counted(portion)
        if time.monotonic() - self._written > _KEPT_EVERY_S:
            self._keep()

    def behind_bytes(self) -> int:
        """What is written and not handed on."""
        return self._tail.behind_bytes()

    def close(self) -> None:
        """Give up the files, and say how far they were read."""
        self._keep()
        self._tail.close()

    def _keep(self) -> None:
        self._written = time.monotonic()
        positions = self._tail.positions(self._tail.present())
        with contextlib.suppress(StateError):  # a full disk: then some lines come twice
            replace_or_overwrite(self._kept, json.dumps(positions))


def _positions(said: object) -> dict[str, int]:
    if not isinstance(said, dict) or not all(type(each) is int for each in said.values()):
        raise ValueError("not a list of files with places in them")
    return said
