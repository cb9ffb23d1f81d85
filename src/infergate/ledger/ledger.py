"""Counts the access log: sums and checkpoint in one transaction, so that nothing is lost or counted
twice, whenever this process ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from infergate.config.root import Config
from infergate.errors import StateError
from infergate.ledger.count import count
from infergate.ledger.line import Line
from infergate.ledger.measures import Measures
from infergate.ledger.prices import prices_of
from infergate.ledger.tail import Piece, Tail
from infergate.paths import Home
from infergate.store.checkpoints import CountedElsewhere, cut, move, positions
from infergate.store.database import Database
from infergate.store.metrics import add_metrics, labels_of
from infergate.store.old_names import add_old_names
from infergate.store.usage import add_usage


@dataclass(frozen=True)
class LedgerStep:
    """What one look at the log brought. keys: whose usage grew."""

    lines: int = 0
    unreadable: int = 0
    keys: frozenset[str] = frozenset()


class Ledger:
    """The ledger of one gateway. `step` is called again and again, by one thread.

    saw: is told of each line that is counted.
    """

    def __init__(
        self,
        home: Home,
        database: Database,
        config: Callable[[], Config],
        saw: Callable[[Line], None] = lambda _: None,
    ) -> None:
        self._saw = saw
        self._log, self._database, self._config = home.access_log, database, config
        self._tail: Tail | None = None
        self._measures: Measures | None = None
        self.node = node_of(home)

    def step(self) -> LedgerStep:
        """Count what was written since; at most a block of each file.

        Raises StateError if the database cannot take it: then nothing is counted, and the next step
        tries the same lines again.
        """
        if self._tail is None:
            self._tail = Tail(self._log, positions(self._database))
        lines = unreadable = 0
        keys: set[str] = set()
        try:
            for piece in self._tail.pieces():
                found = self._count(piece)
                lines += found.lines
                unreadable += found.unreadable
                keys |= found.keys
                self._tail.counted(piece)
        except CountedElsewhere:
            self.close()  # and begin again where the other one stands
            raise
        except OSError as problem:
            raise StateError(
                f"cannot be read: {problem.strerror}", where=str(self._log)
            ) from problem
        return LedgerStep(lines, unreadable, frozenset(keys))

    def tail(self) -> Tail:
        """How the log's files stand. Raises StateError if the database cannot be read."""
        if self._tail is None:
            self._tail = Tail(self._log, positions(self._database))
        return self._tail

    def close(self) -> None:
        """Give up the files; the next step begins at the stored checkpoints."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        self._measures = None

    def forgot(self) -> None:
        """Old metrics were removed: there may be room for new ones."""
        self._measures = None

    def _ready(self) -> Measures:
        if self._measures is None:
            with self._database.read() as connection:
                known = list(labels_of(connection, node_in(self._database, self.node)))
            self._measures = Measures(known)
        self._measures.keys = self._config().metrics.keys > 0
        return self._measures

    def _count(self, piece: Piece) -> LedgerStep:
        prices, measures = prices_of(self._config()), self._ready()
        counted = count(piece.data.decode("utf-8", "replace"), prices, measures, self._saw)
        with self._database.write() as connection:
            if piece.cut:
                cut(connection, piece.identity, piece.start)
            move(
                connection,
                piece.identity,
                node=self.node,
                file=piece.name,
                inode=piece.inode,
                start=piece.start,
                end=piece.end,
                lines=counted.lines,
                unreadable=counted.unreadable,
            )
            add_usage(connection, counted.sums)
            add_old_names(connection, counted.old_names)
            node = node_in(self._database, self.node)
            add_metrics(connection, node, counted.cells, time.time())
        return LedgerStep(counted.lines, counted.unreadable, frozenset(counted.keys))


def node_of(home: Home) -> str:
    """This gateway among those that share a database."""
    return f"{socket.gethostname()}:{home.logs}"[:256]


def node_in(database: Database, node: str) -> str:
    """Whose metrics these are: a database of its own has those of one gateway, whatever its machine
    is called after it was moved."""
    return node if database.is_shared else ""
