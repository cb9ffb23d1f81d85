"""What is asked: prompts as pieces of text with known prefixes, and the requests made of them.

A token is one word of three letters and a space: four characters, and one token to most
tokenizers, so that real engines and simulated ones see about the same lengths.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CHARACTERS = 4
"""Of a token."""

_WORDS = (
    "the and for are but not you all any can had her was one our out day get has him his how man "
    "new now old see two way who boy did its let put say she too use off yes big car dog eat far "
    "fun got hot job key law low map net oil own pay red run sea set sit six ten top try war win "
)
_BY_BYTE = tuple(
    _WORDS[at : at + CHARACTERS]
    for at in (value * CHARACTERS % len(_WORDS) for value in range(256))
)

Piece = tuple[str, int]
"""A seed and a number of tokens: the same seed begins with the same text, whatever the number."""


@dataclass(frozen=True)
class Message:
    """role: OpenAI's."""

    role: str
    pieces: tuple[Piece, ...]

    @property
    def tokens(self) -> int:
        return sum(tokens for _, tokens in self.pieces)

    @property
    def text(self) -> str:
        return "".join(text(seed, tokens) for seed, tokens in self.pieces)


@dataclass(frozen=True)
class Turn:
    """One request of a conversation.

    wait_s: after the end of the answer before it; of the first, after the start.
    output_tokens: the length of its answer; engines are told it as max_tokens.
    """

    session: str
    wait_s: float
    messages: tuple[Message, ...]
    output_tokens: int
    model: str = "m"

    @property
    def prompt_tokens(self) -> int:
        return sum(message.tokens for message in self.messages)


Chain = tuple[Turn, ...]
"""Turns of which each waits for the one before it. A request of an open loop is a chain of one."""


def open_loop(turns: Sequence[Turn]) -> list[Chain]:
    """Each comes at its time, whether or not others were answered. They are put in order."""
    return [(turn,) for turn in sorted(turns, key=lambda turn: turn.wait_s)]


@lru_cache(maxsize=2048)
def text(seed: str, tokens: int) -> str:
    """So many tokens; 2,048 texts of an agent's sessions are some 20 MB."""
    return "".join(map(_BY_BYTE.__getitem__, hashlib.shake_128(seed.encode()).digest(tokens)))


def body(turn: Turn, number: int, salt: str = "") -> bytes:
    """The request for /v1/chat/completions. `number` goes along as its seed, and comes back in
    what a simulated engine tells of it. Another salt gives the same lengths in other words."""
    messages = [
        {
            "role": each.role,
            "content": "".join(text(salt + seed, tokens) for seed, tokens in each.pieces),
        }
        for each in turn.messages
    ]
    return json.dumps(
        {
            "model": turn.model,
            "messages": messages,
            "max_tokens": turn.output_tokens,
            "seed": number,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()


def blocks_of(content: str, block_tokens: int, model: str = "") -> list[bytes]:
    """The chained hash of each full block, as an engine with a prefix cache has them; `model` and
    a slash before each."""
    size, mark, chain = block_tokens * CHARACTERS, model.encode() + b"/", b""
    blocks = []
    for at in range(0, len(content) - size + 1, size):
        block = content[at : at + size].encode()
        chain = hashlib.blake2b(chain + block, digest_size=8).digest()
        blocks.append(mark + chain)
    return blocks
