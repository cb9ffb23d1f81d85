"""What a response says of itself that somebody keeps, so that it can be asked for by its id."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptAs:
    """identity: what all its ids end in, instead of what its server says. created_at: Unix seconds.
    in_background: nobody waits for it."""

    identity: str
    created_at: int
    in_background: bool = False
