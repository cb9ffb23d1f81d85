"""Keys that are old, or valid for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infergate.config.root import Config
from infergate.hardening.check import Check, bad, good
from infergate.store.keys import StoredKey

OLD_S = 365 * 86400
"""A year, as PCI DSS and most policies have it for keys that machines use."""

_SHOWN = 5


def check_keys(config: Config, keys: Sequence[StoredKey], now: float) -> Iterator[Check]:
    """Age and expiry of the keys that are valid now."""
    valid = [
        key
        for key in keys
        if key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
    ]
    old = [key.name for key in valid if now - key.secrets[-1].created_at > OLD_S]
    if old:
        yield bad(
            "keys.age",
            "medium",
            f"older than a year: {_names(old)}",
            "`infergate keys rotate NAME --grace 7d` makes a new secret for a key.",
        )
    elif valid:
        yield good("keys.age", "medium", "no key is older than a year")
    endless = [key.name for key in valid if key.expires_at is None]
    endless += [name for name, key in config.auth.keys.items() if key.expires is None]
    if endless:
        yield bad(
            "keys.expiry",
            "low",
            f"valid for ever: {_names(endless)}",
            "Give new keys an end: `infergate keys create NAME --expires 90d`.",
        )
    elif valid or config.auth.keys:
        yield good("keys.expiry", "low", "every key has an end")
    if config.auth.keys_file:
        yield bad(
            "keys.file",
            "low",
            f"the keys in {config.auth.keys_file} are there in clear text",
            "`infergate keys import` takes them over as hashes; then remove the file.",
        )


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
