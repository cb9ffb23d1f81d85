"""Batches of all keys: how far they are, and the end of one."""

from __future__ import annotations

from typing import Any

from infergate.admin.gateway import Gateway
from infergate.admin.operation import AfterName, Document, Limit, Which, operation
from infergate.errors import Conflict, InfergateError, NotThere
from infergate.ledger.ledger import node_in, node_of
from infergate.store.audit import note
from infergate.store.batches import (
    CANCELLABLE,
    StoredBatch,
    batches_after,
    find_batch,
    move_batch,
)


class BatchShown(Document):
    """One batch. Times are Unix seconds."""

    id: str
    status: str
    key: str
    endpoint: str
    total: int
    completed: int
    failed: int
    created_at: int
    expires_at: int
    ended_at: int | None
    errors: list[dict[str, Any]]
    metadata: dict[str, str]
    input_file_id: str
    output_file_id: str | None
    error_file_id: str | None


class BatchPage(Document):
    """The newest first. next: to be given as after."""

    items: list[BatchShown]
    next: str | None


@operation("GET", "/batches")
def list_batches(gateway: Gateway, *, after: AfterName = "", limit: Limit = 100) -> BatchPage:
    """The batches of this gateway, of whatever key."""
    found = batches_after(
        gateway.database, _node(gateway), owner=None, after=after or None, limit=limit
    )
    if found is None:
        raise _unknown(after)
    items, more = found
    shown = [_shown(each) for each in items]
    return BatchPage(items=shown, next=shown[-1].id if more else None)


@operation("GET", "/batches/{batch}")
def show_batch(gateway: Gateway, batch: Which) -> BatchShown:
    """One batch."""
    found = find_batch(gateway.database, _node(gateway), batch)
    if found is None:
        raise _unknown(batch)
    return _shown(found)


@operation("POST", "/batches/{batch}/cancel")
def cancel_batch(gateway: Gateway, batch: Which) -> BatchShown:
    """End one: what is in flight is closed within some seconds, what is answered stays."""
    found = show_batch(gateway, batch)
    with gateway.database.write() as connection:
        moved = move_batch(connection, batch, CANCELLABLE, "cancelling")
        if moved:
            note(connection, "batch.cancel", batch, before={"status": found.status})
    if not moved:
        raise Conflict(f"the batch {batch} has ended: {found.status}")
    return show_batch(gateway, batch)


def _node(gateway: Gateway) -> str:
    return node_in(gateway.database, node_of(gateway.home))


def _unknown(id_: str) -> InfergateError:
    return NotThere(
        f"there is no batch {id_!r} at this gateway", hint="`infergate batches list` shows them."
    )


def _shown(batch: StoredBatch) -> BatchShown:
    return BatchShown(
        id=batch.id,
        status=batch.status,
        key=batch.key,
        endpoint=batch.endpoint,
        total=batch.total,
        completed=batch.completed,
        failed=batch.failed,
        created_at=batch.created_at,
        expires_at=batch.expires_at,
        ended_at=batch.ended_at,
        errors=[dict(each) for each in batch.errors],
        metadata=dict(batch.about),
        input_file_id=batch.input_file,
        output_file_id=batch.output_file if batch.ended_at else None,
        error_file_id=batch.error_file if batch.ended_at else None,
    )
