"""How deep JSON may be nested that is kept and sent on.

Python reads and writes about a thousand levels, a few more or less by where it is called: what
could just be read could not be written, or not be read again, each time that a batch went on.
"""

from __future__ import annotations

from typing import Any

DEEPEST = 500


def is_too_deep(text: bytes, value: Any) -> bool:
    """text: of which value was read."""
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
