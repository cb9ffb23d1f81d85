"""What Prometheus is told."""

from __future__ import annotations

from pydantic import Field

from infergate.config.base import Section

MOST_KEYS = 1000
"""Keys with series of their own: each has six."""


class Metrics(Section):
    """Numbers for Prometheus (docs/metrics.md); holders of a token ask the admin API."""

    keys: int = Field(
        0,
        ge=0,
        le=MOST_KEYS,
        description="Of so many keys, those with the most requests, there are series.",
    )
