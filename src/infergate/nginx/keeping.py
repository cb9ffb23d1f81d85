"""What the templates have to know of the answers that are kept to be served again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from infergate.config.endpoints import KEPT_COMPLETIONS, KEPT_PATHS
from infergate.config.root import Config

SNIPPETS = frozenset(
    f"snippets/{name}.conf.j2"
    for name in ("kept", "cached", "relay_cached", "relay_stream", "hedged_cached")
)
"""Files that are there only if answers are kept."""

_BYTES_PER_ENTRY = 20_000
"""Of an answer with one embedding of 1,024 numbers."""

_ENTRIES_PER_MB = 4_000
"""In nginx's index 8,000, in ours of names half as many."""


_OF_A_MODEL = {
    *("backends", "upstream_name", "upstream_names", "params"),
    *("cache", "canary", "limits", "guardrails", "deprecated"),
}
"""What decides about the answers of a model."""


@dataclass(frozen=True)
class Keeping:
    """paths: endpoint → who keeps its answers, "cached" (nginx) or "stream" (both).
    longest_s: the longest ttl of a model. max_size: bytes on the disk. index_mb: of memory."""

    paths: Mapping[str, str]
    longest_s: int
    max_size: int
    index_mb: int
    completions: bool


def who_answers(config: Config) -> str:
    """Another text as soon as a name may stand for another model, a backend for another server, or
    an answer may be given to others: what was kept before must not be given from then on. (Two
    models' embeddings have nothing to do with each other.)"""
    backends = {name: backend.url for name, backend in config.backends.items()}
    models = config.model_dump_json(
        include={
            "models": {"__all__": _OF_A_MODEL},
            "limits": True,
        }
    )
    return hashlib.sha256(f"{backends}{models}".encode()).hexdigest()[:16]


def keeps(config: Config) -> Keeping | None:
    """None if no model's answers are kept: then nothing of it is rendered."""
    caches = [model.cache for model in config.models.values() if model.cache is not None]
    if not caches:
        return None
    completions = any(cache.completions for cache in caches)
    size = config.cache.max_size
    return Keeping(
        paths={
            **dict.fromkeys(KEPT_PATHS, "cached"),
            **dict.fromkeys(KEPT_COMPLETIONS if completions else (), "stream"),
        },
        longest_s=math.ceil(max(cache.ttl for cache in caches)),
        max_size=size,
        index_mb=min(64, max(1, math.ceil(size / _BYTES_PER_ENTRY / _ENTRIES_PER_MB))),
        completions=completions,
    )
