"""How many parameters a model has, as people write it: 32B, 8x7B, 270M."""

from __future__ import annotations

import re

_SIZE = re.compile(
    r"(?<![A-Za-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([BbMm])(?![A-Za-z0-9])"
)


def in_name(name: str) -> float | None:
    """The largest size that a name says, in billions: 32 of qwen2.5-coder:32b-instruct-q4_K_M, 30
    of Qwen3-30B-A3B, 56 of Mixtral-8x7B. None if it says none."""
    return max((_billions(match) for match in _SIZE.finditer(name)), default=None)


def billions(text: str) -> float | None:
    """The size that a text is, in billions; None if it is none."""
    match = _SIZE.fullmatch(text.strip())
    return _billions(match) if match else None


def _billions(match: re.Match[str]) -> float:
    many, each, unit = match.groups()
    return int(many or 1) * float(each) / (1000 if unit in "mM" else 1)
