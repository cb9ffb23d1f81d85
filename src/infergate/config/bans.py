"""Bans: when an address has offended so often that it is no longer answered."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from infergate.config.addresses import Network
from infergate.config.base import Section
from infergate.config.types import Seconds


class Offences(Section):
    """How many of a kind, within the window, are a ban; 0 counts none. Kinds add up.

    Half of one kind and half of another are a ban, too.
    """

    wrong_key: int = Field(
        10, ge=0, description="Requests without a key, or with a wrong key or password (401)."
    )
    denied: int = Field(20, ge=0, description="Requests that access rules forbid (403).")
    rate: int = Field(
        100, ge=0, description="Requests without a valid key above an address's rate (429)."
    )
    waf: int = Field(5, ge=0, description="Attacks that the firewall refused.")
    scanner: int = Field(3, ge=0, description="Requests for paths that only scanners ask for.")


class Bans(Section):
    """Addresses that offend too often are no longer answered."""

    @model_validator(mode="before")
    @classmethod
    def _from_mode(cls, value: Any) -> Any:
        return {"mode": value} if isinstance(value, str) else value

    mode: Literal["off", "detect", "block"] = Field(
        "off", description="detect says in the log who would be banned. `bans add` always works."
    )
    offences: Offences = Field(Offences(), description="How many are too many.")
    within: Seconds = Field(600.0, ge=1, le=86400, description="The window they are counted in.")
    duration: Seconds = Field(3600.0, ge=10, description="The first ban of an address.")
    longest: Seconds = Field(
        604800.0, ge=10, description="Each further ban is twice as long, up to this."
    )
    never: list[Network] = Field(
        [], description="Never banned; nor are this machine, trusted proxies and access.allow."
    )
    ipv6_prefix: int = Field(
        64, ge=32, le=128, description="IPv6 clients are banned by networks of this size."
    )
