"""How long an old worker may take for what it has begun."""

from __future__ import annotations

SHUTDOWN_TIMEOUT_S = 3600
"""How long open streams may keep an old worker alive after a reload: longer than any answer."""
