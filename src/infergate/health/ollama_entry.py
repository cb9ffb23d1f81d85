"""Ollama's own entries of its lists, cut down to the fields that its clients know.

What a box says goes to everybody who asks for /api/tags; so nothing passes but these fields, of the
kinds and sizes that Ollama sends: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infergate.shown import is_plain

LONGEST_TEXT = 128
"""Characters; the longest real one is a digest of 71."""

MAX_FAMILIES = 16

MAX_BYTES = 512 * 1024
"""Of all entries of one list of one box, as JSON: well over a thousand models."""

_TEXTS = ("modified_at", "digest", "expires_at", "remote_model", "remote_host")
_COUNTS = ("size", "size_vram", "context_length")
_DETAILS = ("parent_model", "format", "family", "parameter_size", "quantization_level")


def known_fields(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What is passed on of an entry of /api/tags or /api/ps."""
    kept: dict[str, Any] = {"name": name, "model": name}
    kept |= {field: entry[field] for field in _TEXTS if is_text(entry.get(field))}
    kept |= {field: entry[field] for field in _COUNTS if is_count(entry.get(field), least=0)}
    details = entry.get("details")
    if isinstance(details, dict):
        kept["details"] = {f: details[f] for f in _DETAILS if is_text(details.get(f))}
        families = details.get("families")
        if families is None or _are_texts(families):
            kept["details"]["families"] = families
    if _are_texts(entry.get("capabilities")):
        kept["capabilities"] = entry["capabilities"]
    return kept


def is_count(value: Any, *, least: int = 1) -> bool:
    """A whole number that JavaScript, too, can say exactly."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**53


class Room:
    """How much of one list is still passed on."""

    def __init__(self) -> None:
        self._left = MAX_BYTES

    def take(self, entry: dict[str, Any] | None) -> dict[str, Any] | None:
        """The entry, or None where there is no room for it."""
        if entry is None:
            return None
        self._left -= len(json.dumps(entry, ensure_ascii=False).encode())
        return entry if self._left >= 0 else None


def is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and is_plain(value)


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and len(values) <= MAX_FAMILIES and all(map(is_text, values))
