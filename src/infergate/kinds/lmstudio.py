"""LM Studio: https://lmstudio.ai/docs/developer/rest/endpoints"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infergate.kinds.kind import COMMON_CONTEXT, COUNT_TOKENS, Kind, Replies

_STATES = ("loaded", "not-loaded")


def _is_lmstudio(replies: Replies) -> bool:
    body = replies["/api/v0/models"].json
    entries = body.get("data") if isinstance(body, dict) else None
    return isinstance(entries, list) and any(
        isinstance(entry, dict) and entry.get("state") in _STATES for entry in entries
    )


def _loaded(entry: Mapping[str, Any]) -> bool | None:
    return entry["state"] == "loaded" if entry.get("state") in _STATES else None


KIND = Kind(
    name="lmstudio",
    title="LM Studio",
    letter="w",
    port=1234,
    port_option=None,
    also=("lm_studio", "lm-studio"),
    asks=("/api/v0/models",),
    sign=_is_lmstudio,
    liveness_path="/v1/models",
    models_path="/api/v0/models",  # as /v1/models, and says what is loaded
    loaded=_loaded,
    keeps_loaded=False,
    context=("loaded_context_length", "max_context_length", *COMMON_CONTEXT),
    lacks=COUNT_TOKENS,  # https://lmstudio.ai/docs/developer/anthropic-compat
    counts_usage=True,
)
