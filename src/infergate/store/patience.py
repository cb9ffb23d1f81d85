"""A bound for PostgreSQL that answers no more though nobody closed the connection."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Connection as PostgresConnection
from psycopg import Error
from sqlalchemy import Engine, event

LONGEST_S = 30.0
"""For one transaction: three of its statements may take as long as each may (database.py)."""


class Patience:
    """Gives up the connections of an engine when a transaction on one of them takes too long.

    A firewall that forgets a connection, a machine that stands still or a proxy in between leave it
    open for ever; TCP's own time-outs only know the first of these.
    """

    def __init__(self, engine: Engine) -> None:
        self._open: weakref.WeakSet[PostgresConnection] = weakref.WeakSet()
        event.listen(engine, "connect", lambda connection, _record: self._open.add(connection))
        self.gave_up = False

    @contextmanager
    def bound(self, times: int = 1) -> Iterator[None]:
        """Within it, whatever waits for the server fails after so many times LONGEST_S; gave_up is
        set then."""
        self.gave_up = False
        timer = threading.Timer(times * LONGEST_S, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self.gave_up = True
        for connection in list(self._open):
            with (
                contextlib.suppress(Error, OSError),
                socket.socket(fileno=os.dup(connection.fileno())) as ours,
            ):
                ours.shutdown(socket.SHUT_RDWR)  # close would leave the thread waiting there
