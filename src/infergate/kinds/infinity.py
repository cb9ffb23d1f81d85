"""Infinity, for embeddings: https://michaelfeil.eu/infinity/"""

from __future__ import annotations

from infergate.kinds.kind import NO_TEXT, Kind, Replies, paths


def _has_no_prefix(replies: Replies) -> bool:
    """Started without --url-prefix /v1."""
    return any(
        isinstance(entry, dict) and entry.get("owned_by") == "infinity"
        for body in (replies["/models"].json,)
        if isinstance(body, dict) and isinstance(body.get("data"), list)
        for entry in body["data"]
    )


KIND = Kind(
    name="infinity",
    title="Infinity",
    letter="i",
    port=7997,
    image="michaelf34/infinity",
    owned_by="infinity",
    asks=("/models",),
    sign=_has_no_prefix,
    liveness_path="/health",
    unlisted="start Infinity with --url-prefix /v1",  # so do the clients' paths need it
    has=paths("/rerank /classify"),
    lacks=NO_TEXT,
)
