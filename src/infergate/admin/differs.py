"""Where a prompt stops to be one that its key asked before, as far as the log tells.

The index of `balance: work` keeps prompts at the depths 1, 2, 4, 8 … and the last, in blocks
(njs/blocks.js), and a line of the log says how much of its prompt each backend should have had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from infergate.contract.numbers import BYTES_PER_TOKEN, PROMPT_BLOCK
from infergate.ledger.weighed import WorkChoice, weighed

BLOCK = PROMPT_BLOCK / BYTES_PER_TOKEN
"""Tokens."""
_KB = PROMPT_BLOCK // 1024
_EXACT = 0.02
"""Blocks: nearer, the depth that is known is told in full."""
_ALIKE = 0.3
"""A prompt shorter than this part of the next one is hardly the one that it goes on from."""


def differs(entry: Mapping[str, Any], before: Iterable[Mapping[str, Any]]) -> str | None:
    """One line of text; None where it is as it should be, or nothing can be said.

    before: requests of the log that ended before this one, the newest first.
    """
    its = _choice(entry)
    if its is None:
        return None
    began = entry["ts"] - entry["request_time"]
    for each in before:
        same = all(each[name] == entry[name] for name in ("key", "gen_ai.request.model"))
        other = _choice(each) if same and each["ts"] <= began else None
        if other is None or not _ALIKE * its.tokens <= other.tokens <= its.tokens:
            continue
        had = int(other.tokens / BLOCK)
        known = _known(its, each["backend"])
        if known is None or known >= had:
            return None
        up_to = min(had, max(1, 2 * known))
        return (
            f"of {each['id']}, the request of this key before it, {each['backend']} has"
            f" {other.tokens * BYTES_PER_TOKEN // 1024} kB: this one differs from it between"
            f" {known * _KB} and {up_to * _KB} kB, or it is too long ago"
        )
    return None


def _choice(entry: Mapping[str, Any]) -> WorkChoice | None:
    """Where a prompt of a block or more was weighed."""
    found = weighed(entry["why"])
    return None if found is None or found.tokens < BLOCK else found


def _known(its: WorkChoice, backend: str) -> int | None:
    """Blocks of the prompt that a backend should have; one that no terms are told of has none. None
    where it is less than one of the depths says: what it should have it often had not."""
    terms = its.terms.get(backend)
    blocks = 0.0 if terms is None else (its.tokens - terms.uncached) / BLOCK
    known = round(blocks)
    is_depth = known & (known - 1) == 0 if known else True
    return known if is_depth and abs(blocks - known) < _EXACT else None
