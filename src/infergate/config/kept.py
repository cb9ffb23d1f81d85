"""Room for the answers that models' `cache` keeps."""

from __future__ import annotations

from pydantic import Field

from infergate.config.base import Section
from infergate.config.types import Bytes


class KeptAnswers(Section):
    """Where answers are kept that are served again (models.NAME.cache)."""

    max_size: Bytes = Field(
        1024**3, ge=1024**2, description="On the disk; what was asked for least lately goes first."
    )
