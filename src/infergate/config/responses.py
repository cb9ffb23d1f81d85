"""What is kept of OpenAI's responses (docs/responses.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infergate.config.base import Section
from infergate.config.types import Bytes, Seconds


class KeptResponses(Section):
    """How much of them there may be; of a key each."""

    keep: Literal["unless_refused", "when_asked"] = Field(
        "unless_refused",
        description="Where a request does not say `store`: as at OpenAI, or nothing.",
    )
    retention: Seconds = Field(
        30 * 86400.0,
        ge=60,
        description="Removed so long after it was made, or was gone on from last.",
    )
    max_bytes: Bytes = Field(
        16 * 1024**2,
        ge=1024,
        le=256 * 1024**2,
        description="Largest one that is kept, with what was asked.",
    )
    most: int = Field(
        10_000, ge=1, le=1_000_000, description="Of one key; the oldest goes for a new one."
    )
    bytes: Bytes = Field(
        256 * 1024**2, ge=1024, description="All of one key; the oldest goes for a new one."
    )
    background: int = Field(
        20, ge=1, le=1000, description="Of one key that are made in the background at once."
    )
    concurrent: int = Field(
        8, ge=1, le=1000, description="That are asked at once in the background, of all keys."
    )
    patience: Seconds = Field(
        600.0,
        ge=0,
        le=86400,
        description="How long one in the background waits for room where it gets 429 or 503.",
    )
