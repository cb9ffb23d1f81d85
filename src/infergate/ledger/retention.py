"""Old usage and audit entries are forgotten, unless the clock cannot be trusted."""

from __future__ import annotations

import time
from collections.abc import Collection

from sqlalchemy import delete

from infergate.config.usage import Keep
from infergate.store.checkpoints import forget_checkpoints
from infergate.store.database import Database
from infergate.store.metrics import forget_metrics
from infergate.store.old_names import forget_old_names
from infergate.store.tables import audit
from infergate.store.usage import forget_usage

TRUSTED_AFTER_S = 3600.0
METRICS_KEPT_S = 90 * 86400
"""Metrics of what had no request for so long are forgotten: a model that is gone makes room."""
_JUMP_S = 60.0


class Clock:
    """Whether the clock of the day has gone with time for an hour: one that jumped a year ahead
    must not make us forget a year.

    at_first: whether it is trusted until it jumps, where old things are to go in time.
    """

    def __init__(self, *, at_first: bool = False) -> None:
        self._begin()
        if at_first:
            self._steady -= TRUSTED_AFTER_S

    def _begin(self) -> None:
        self._steady = time.monotonic()
        self._offset = time.time() - time.monotonic()

    def is_trusted(self) -> bool:
        if abs(time.time() - time.monotonic() - self._offset) > _JUMP_S:
            self._begin()
        return time.monotonic() - self._steady >= TRUSTED_AFTER_S


def forget_old(
    database: Database, keep: Keep, node: str, present: Collection[str], now: float
) -> int:
    """Remove what is older than it is kept for; returns how many rows of usage.

    node, present: the gateway, and the identities of its log files that are there.

    Raises StateError if the database cannot be written.
    """
    with database.write() as connection:
        count = forget_usage(connection, "m", int(now - keep.minutes))
        count += forget_usage(connection, "h", int(now - keep.hours))
        if keep.days is not None:
            count += forget_usage(connection, "d", int(now - keep.days))
        if keep.audit is not None:
            connection.execute(delete(audit).where(audit.c.at < int(now - keep.audit)))
        forget_checkpoints(connection, node, present, now)
        if keep.days is not None:
            forget_old_names(connection, int(now - keep.days))
        forget_metrics(connection, int(now - METRICS_KEPT_S))
    return count
