"""How JSON stands in streams. ASCII only: clients split lines at more than \\n, as at U+2028."""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(separators=(",", ":")).encode
"""Made once: `json.dumps` would make one for each event."""


def compact(value: Any) -> str:
    """JSON without spaces."""
    return _encode(value)


def event(name: str, data: Any) -> bytes:
    """A named server-sent event."""
    return f"event: {name}\ndata: {compact(data)}\n\n".encode()


def line(data: Any) -> bytes:
    """One of application/x-ndjson."""
    return compact(data).encode() + b"\n"
