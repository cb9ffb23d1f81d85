"""LocalAI: https://localai.io/docs/reference/system-info/"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from infergate.kinds.kind import Kind, Replies, paths

_SAYS = "/.well-known/localai.json"


def _is_localai(replies: Replies) -> bool:
    return replies[_SAYS].has("version", "endpoints") or replies["/system"].has(
        "backends", "loaded_models"
    )


def _loaded_names(body: Any) -> Collection[str] | None:
    entries = body.get("loaded_models") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        return None
    return {entry["id"] for entry in entries if isinstance(entry, dict) and "id" in entry}


KIND = Kind(
    name="localai",
    title="LocalAI",
    letter="e",
    port=8080,
    image="localai/localai",
    port_option=None,
    asks=(_SAYS, "/system"),
    sign=_is_localai,
    imitates=True,  # it speaks Ollama's API, too
    liveness_path="/readyz",
    loaded_path="/system",
    loaded_names=_loaded_names,
    keeps_loaded=False,
    version_path=_SAYS,
    has=paths("/v1/images/generations"),
)
