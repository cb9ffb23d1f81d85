"""Batches as OpenAI's API writes them, and what a client may ask of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infergate.api.refusal import Refused
from infergate.store.batches import OPEN, StoredBatch

WINDOW, WINDOW_S = "24h", 86400
"""The only completion_window there is, as at OpenAI."""

_MOST_METADATA, _LONGEST_NAME, _LONGEST_VALUE = 16, 64, 512
_TIMES = (
    *("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"),
)


def batch_document(batch: StoredBatch, progress: tuple[int, int] | None = None) -> dict[str, Any]:
    """progress: lines that are completed and that failed by now, where somebody knows it better."""
    completed, failed = progress or (batch.completed, batch.failed)
    ended = batch.status not in OPEN
    errors = {"object": "list", "data": list(batch.errors)} if batch.errors else None
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": errors,
        "input_file_id": batch.input_file,
        "completion_window": WINDOW,
        "status": batch.status,
        "output_file_id": batch.output_file if ended else None,
        "error_file_id": batch.error_file if ended else None,
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        **{f"{each}_at": batch.times.get(each) for each in _TIMES},
        "request_counts": {"total": batch.total, "completed": completed, "failed": failed},
        "metadata": dict(batch.about) or None,
    }


def object_of(body: bytes) -> Mapping[str, Any]:
    """A request's body. Raises Refused; also where half of a surrogate pair stands in it, which
    neither a database nor an answer takes."""
    try:
        found = json.loads(body)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # UnicodeEncodeError is a ValueError
        found = None
    if not isinstance(found, dict):
        raise Refused("The request body must be a JSON object.")
    return found


def text_in(asked: Mapping[str, Any], name: str) -> str:
    """Raises Refused."""
    found = asked.get(name)
    if not isinstance(found, str) or not found:
        raise Refused(f"You must provide {name!r}.", param=name)
    return found


def metadata_in(asked: Mapping[str, Any]) -> Mapping[str, str]:
    """Raises Refused."""
    found = asked.get("metadata")
    if found is None:
        return {}
    if (
        not isinstance(found, dict)
        or len(found) > _MOST_METADATA
        or any(len(name) > _LONGEST_NAME for name in found)
        or not all(isinstance(v, str) and len(v) <= _LONGEST_VALUE for v in found.values())
    ):
        raise Refused(
            f"metadata is an object of {_MOST_METADATA} texts at most, with names of "
            f"{_LONGEST_NAME} and values of {_LONGEST_VALUE} characters at most.",
            param="metadata",
        )
    return found
