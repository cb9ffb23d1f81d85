"""Server-sent events as the client sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Events:
    """What a stream said. chunks: the JSON of each event, [DONE] left out."""

    chunks: tuple[Any, ...]
    done: bool

    @property
    def finish_reasons(self) -> list[str]:
        return [
            choice["finish_reason"]
            for choice in self._choices()
            if choice.get("finish_reason") is not None
        ]

    @property
    def text(self) -> str:
        return "".join(choice.get("delta", {}).get("content") or "" for choice in self._choices())

    @property
    def errors(self) -> list[Any]:
        return [each["error"] for each in self.chunks if isinstance(each, dict) and "error" in each]

    @property
    def usage_only(self) -> int:
        """How many chunks carry usage and no choice."""
        return sum(
            1
            for each in self.chunks
            if isinstance(each, dict) and each.get("usage") and not each.get("choices")
        )

    def _choices(self) -> Iterator[dict[str, Any]]:
        for each in self.chunks:
            if isinstance(each, dict):
                yield from each.get("choices") or []


def parse(body: bytes) -> Events:
    """Read a stream as the standard says: fields, events ended by an empty line.

    Data that is not JSON is kept as text, so that garbage is not mistaken for silence. An event
    without its empty line counts too: a client that is cut off there may have read it.
    """
    chunks: list[Any] = []
    done = False
    data: list[str] = []
    for line in [*body.decode(errors="replace").replace("\r\n", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            text, data = "\n".join(data), []
            if text == "[DONE]":
                done = True
                continue
            chunk: Any = text
            with suppress(ValueError):
                chunk = json.loads(text)
            chunks.append(chunk)
    return Events(tuple(chunks), done)
