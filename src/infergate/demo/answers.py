"""What the demo says: texts, token counts and vectors, all computed from the request alone."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

MODEL = "demo"
DIMENSIONS = 64

_ECHO_CHARACTERS = 2000


@dataclass(frozen=True)
class DemoReply:
    """A finished answer.

    words: the pieces it is streamed in, each counted as one token.
    cut: the request's own token limit ended it.
    """

    words: tuple[str, ...]
    prompt_tokens: int
    cut: bool

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def completion_tokens(self) -> int:
        return len(self.words)


def reply(said: str, prompt: str, max_tokens: int | None) -> DemoReply:
    """The answer to what the user said last.

    prompt: all the text of the request, for its token count.
    max_tokens: the request's limit; None is none.
    """
    echo = said if len(said) <= _ECHO_CHARACTERS else said[:_ECHO_CHARACTERS] + "…"
    text = (
        "This is Infergate's built-in demo and not a model: the gateway works, but there is no "
        f"inference engine behind it yet. You said: {echo or '(nothing)'}"
    )
    words = tuple(re.findall(r"\s*\S+|\s+$", text))
    kept = words if max_tokens is None else words[:max_tokens]
    return DemoReply(kept, tokens(prompt), cut=len(kept) < len(words))


def tokens(text: str) -> int:
    """Tokens of a text at four bytes each, OpenAI's rule of thumb; at least one."""
    return max(1, math.ceil(len(text.encode("utf-8", "replace")) / 4))


def text_of(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list. Pictures have none."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def vector(text: str) -> tuple[float, ...]:
    """A unit vector of 64 numbers, the same for the same text in every process.

    Each word adds to a place and with a sign given by its hash, so texts that share words are
    nearer to each other than texts that do not.
    """
    sums = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()) or [text]:
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        sums[digest[0] % DIMENSIONS] += 1.0 if digest[1] % 2 else -1.0
        sums[digest[2] % DIMENSIONS] += 0.5 if digest[3] % 2 else -0.5
    length = math.sqrt(sum(number * number for number in sums))
    if length == 0:  # words that cancel each other out
        return (1.0, *[0.0] * (DIMENSIONS - 1))
    return tuple(number / length for number in sums)


def as_base64(numbers: tuple[float, ...]) -> str:
    """A vector as OpenAI's encoding_format base64: little-endian 32-bit floats."""
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
