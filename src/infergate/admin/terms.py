"""What a key may do, as JSON says it: plain numbers, no sizes in words."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infergate.admin.operation import LARGEST, AsJson
from infergate.config.policies import Grant, KeyLimits

Setting = Literal[
    "models",
    "guardrails",
    "manage",
    "priority",
    "weight",
    "allow",
    "deny",
    "services",
    "explain",
    "budget",
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent",
    "max_prompt_bytes",
    "max_tokens",
]
"""A setting of Terms or its limits."""


class TermLimits(AsJson, KeyLimits):
    """What a key may ask for."""

    max_prompt_bytes: int | None = Field(
        None, ge=1, le=LARGEST, description="Largest request body of this key."
    )


class Terms(AsJson, Grant):
    """All that a key may do; of what it leaves unset, a policy may decide."""

    limits: TermLimits = Field(TermLimits(), description="What it may ask for.")

    def grant(self) -> Grant:
        """The same in the configuration's own form, only what was said."""
        said = self.model_dump(exclude_unset=True)
        return Grant.model_validate({k: v for k, v in said.items() if k in Grant.model_fields})
