"""A key's secret: made, hashed, recognised by its first characters. Only its SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

SECRET_PREFIX = "sk-ig-"  # noqa: S105 - how a key starts, so that a leak is recognised
_SECRET_BYTES = 32
_SHOWN_CHARACTERS = len(SECRET_PREFIX) + 4


@dataclass(frozen=True)
class StoredSecret:
    """One secret of a key, as it is kept.

    prefix: its first characters, enough to recognise it by; empty where only the hash was known.
    created_at: Unix seconds. valid_until: set when another took its place; None is as the key.
    """

    hash: str
    prefix: str
    created_at: int
    valid_until: int | None = None


def new_secret() -> str:
    """A secret that nobody can guess: 256 bits from the operating system."""
    return SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def shown(secret: str) -> str:
    """The characters to recognise it by."""
    return secret[:_SHOWN_CHARACTERS]


def key_hash(secret: str) -> str:
    """SHA-256 of a key in hexadecimal: the only form in which it is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()
