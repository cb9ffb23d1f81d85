"""What a version of Anthropic's API refuses, told by the header `anthropic-version`."""

from __future__ import annotations

from dataclasses import dataclass

from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused

NEWER = "2026-10-21"
"""The first after 2023-06-01; https://docs.anthropic.com/en/api/versioning"""

_SAMPLING = ("temperature", "top_p", "top_k")


@dataclass(frozen=True)
class Version:
    """name: "" where the client tells none, which is as the older ones."""

    name: str = ""

    def check(self, body: Body) -> None:
        """Raises Refused for what the newer one has no more, even with its usual value."""
        if self.name == NEWER:
            for name in _SAMPLING:
                if name in body:
                    raise Refused(f"{name}: Extra inputs are not permitted", param=name)

    def check_message(self, message: Body, where: str) -> None:
        """The same of a message: no document is an assistant's, and no citation a user's."""
        blocks = message.get("content")
        if self.name != NEWER or not isinstance(blocks, list):
            return
        for place, block in enumerate(blocks):
            kind = block.get("type") if isinstance(block, dict) else None
            at = f"{where}.content.{place}"
            if message.get("role") == "assistant" and kind == "document":
                raise Refused(f"{at}: an assistant's message has no documents", param=at)
            if message.get("role") == "user" and kind == "text" and block.get("citations"):
                raise Refused(f"{at}.citations: a user's text has no citations", param=at)
