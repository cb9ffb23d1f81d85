"""How many parameters a model has, as people write it: 32B, 8x7B, 270M."""

from __future__ import annotations

import re

_SIZE = re.compile(
    r"(?<![A-Za-z0-9.])(?P<active>[AaEe]?)(?:(?P<many>\d{1,3})[xX])?(?P<each>\d{1,4}(?:\.\d{1,3})?)"
    r"(?P<unit>[BbMmTt])(?:(?![A-Za-z0-9])|(?=[xX]\d))"
)
_BILLIONS = {"m": 1e-3, "b": 1.0, "t": 1e3}

_SMALLEST = 0.01
"""In billions: below, it is a length of a context (`Qwen2.5-14B-Instruct-1M`)."""


def in_name(name: str) -> float | None:
    """The size that a name says, in billions. None if it says none.

    The largest of several: 32 of qwen2.5-coder:32b-instruct-q4_K_M, 30 of Qwen3-30B-A3B, 56 of
    Mixtral-8x7B. Trillions only beside no billions, 1000 of Kimi-K2-1T-A32B: TinyLlama-1.1B-3T has
    learnt from 3T tokens. What is active only where nothing else is said: 2.7 of Qwen1.5-MoE-A2.7B.
    """
    found = [match for match in _SIZE.finditer(name) if _billions(match) >= _SMALLEST]
    whole = [match for match in found if not match["active"]]
    for some in (
        [match for match in whole if match["unit"] not in "Tt"],
        whole,
        found,
    ):
        if some:
            return max(map(_billions, some))
    return None


def billions(text: str) -> float | None:
    """The size that a text is, in billions; None if it is none."""
    match = _SIZE.fullmatch(text.strip())
    return _billions(match) if match and not match["active"] else None


def _billions(match: re.Match[str]) -> float:
    return int(match["many"] or 1) * float(match["each"]) * _BILLIONS[match["unit"].lower()]
