"""OpenAI's files and batches (docs/batches.md)."""

from __future__ import annotations

from pydantic import Field

from infergate.config.base import Section
from infergate.config.types import Bytes, Seconds


class Batches(Section):
    """How much of them there may be. Who owns what is counted by key, or by team where the key has
    one."""

    concurrent: int = Field(
        8, ge=1, le=1000, description="Lines that are asked at once, of all batches together."
    )
    max_file: Bytes = Field(
        200 * 1024**2, ge=1024, le=8 * 1024**3, description="Largest file that is taken."
    )
    max_line: Bytes = Field(
        4 * 1024**2,
        ge=1024,
        le=64 * 1024**2,
        description="Longest line of one; limits.max_body holds for it, too.",
    )
    max_lines: int = Field(50_000, ge=1, le=1_000_000, description="Requests of one batch.")
    max_answer: Bytes = Field(
        32 * 1024**2,
        ge=1024,
        le=256 * 1024**2,
        description="Largest answer that is kept; a larger one is an error of its line.",
    )
    files: int = Field(500, ge=1, le=100_000, description="Files of one owner.")
    bytes: Bytes = Field(
        2 * 1024**3, ge=1024, description="Bytes of all of them; what batches write counts, too."
    )
    open: int = Field(10, ge=1, le=1000, description="Batches of one owner that have not ended.")
    attempts: int = Field(
        5, ge=1, le=100, description="For a line whose backend fails; waiting for room is none."
    )
    retention: Seconds = Field(
        30 * 86400.0,
        ge=3600,
        description="Files are removed so long after they were made, batches after their end.",
    )
