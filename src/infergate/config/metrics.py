"""What Prometheus is told, and who may ask at the gateway's own ports."""

from __future__ import annotations

from pydantic import Field

from infergate.config.addresses import Network
from infergate.config.base import Section

MOST_KEYS = 1000
"""Keys with series of their own: each has six."""


class Metrics(Section):
    """Numbers for Prometheus (docs/metrics.md); holders of a token ask the admin API."""

    networks: list[Network] = Field(
        [],
        description="Who may ask for /metrics at the gateway's own ports, without a token; nobody, "
        "when empty.",
    )
    keys: int = Field(
        0,
        ge=0,
        le=MOST_KEYS,
        description="Of so many keys, those with the most requests, there are series.",
    )
