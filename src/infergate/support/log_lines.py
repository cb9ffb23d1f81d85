"""Requests as a stranger may see them: of each line of the access log what is no client's."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from infergate.config.endpoints import PATHS
from infergate.ledger.line import request_in
from infergate.nginx.access_line import FIRST_CHUNK

_KEPT = (
    *("ts", "v", "id", "status", "method", "error", "backend", "attempts", "tokens_estimated"),
    *("gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    *("gen_ai.usage.cache_read.input_tokens", "request_time", "queue_ms", "request_length"),
    FIRST_CHUNK,
    *("bytes_sent", "completed", "why", "cache", "service"),
)
"""Fields in which nothing stands that a client wrote (docs/log.md)."""


def strangers_lines(lines: Collection[str], models: Collection[str]) -> Iterator[str]:
    """The lines as JSON. models: the names that are known; another one is a client's own text.

    Keys get numbers in the order in which they come.
    """
    numbers: dict[str, str] = {}
    for line in lines:
        try:
            entry = request_in(line)
        except ValueError:
            entry = None
        if entry is None:
            continue
        yield json.dumps(_one(entry, models, numbers))


def _one(
    entry: Mapping[str, Any], models: Collection[str], numbers: dict[str, str]
) -> dict[str, Any]:
    kept = {name: entry[name] for name in _KEPT if name in entry}
    uri, asked, key = entry.get("uri"), entry.get("model_asked"), entry.get("key")
    kept["uri"] = uri if uri in PATHS else "(another path)"
    kept["model_asked"] = asked if not asked or asked in models else "(another model)"
    kept["key"] = numbers.setdefault(key, f"key-{len(numbers) + 1}") if key else ""
    return kept
