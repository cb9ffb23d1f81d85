"""Where keys and usage are kept, what tokens cost, and for how long things are remembered."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from infergate.config.base import Section
from infergate.config.budgets import NANO
from infergate.config.types import Bytes, Seconds

_TOKENS_PRICED = 1_000_000
_DAY_S = 86400.0


def _store_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("postgresql", "postgres") and parts.port != 0
    except ValueError:
        known = False
    # Never quoted in the message: it may hold a password.
    if not known or len(parts.path) < 2 or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError("expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    return value


class Store(Section):
    """The database of keys, usage and audit log: SQLite in the state folder, or PostgreSQL."""

    url: Annotated[SecretStr, AfterValidator(_store_url)] | None = Field(
        None,
        description="postgresql://USER:${PASSWORD}@HOST/DATABASE, which several gateways may "
        "share; SQLite in the state folder, if not given.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


def _price(value: Decimal) -> Decimal:
    if value * NANO % _TOKENS_PRICED:
        raise ValueError("at most three decimals: a thousandth for a million tokens")
    return value


_Price = Annotated[Decimal, Field(ge=0, le=1_000_000), AfterValidator(_price)]


class Price(Section):
    """What a model costs, for a million tokens."""

    input: _Price = Field(Decimal(0), description="A million tokens of prompts.")
    output: _Price = Field(Decimal(0), description="A million tokens of answers.")
    cached_input: _Price | None = Field(
        None, description="A million tokens of prompts found in the backend's cache; as input."
    )

    def nano(self, prompt: int, completion: int, cached: int) -> int:
        """The price of one request in billionths of the currency's unit.

        prompt, completion: tokens; cached: those of the prompt that came from a cache.
        """
        cached = min(cached, prompt)
        cached_price = self.input if self.cached_input is None else self.cached_input
        whole = (
            (prompt - cached) * self.input + completion * self.output + cached * cached_price
        ) * (NANO // _TOKENS_PRICED)
        return int(whole)


class Keep(Section):
    """How long usage, the audit log and old access logs are kept."""

    minutes: Seconds = Field(2 * _DAY_S, ge=3600, description="Usage by the minute.")
    hours: Seconds = Field(92 * _DAY_S, ge=32 * _DAY_S, description="Usage by the hour.")
    days: Seconds | None = Field(
        None, ge=32 * _DAY_S, description="Usage by the day; for good, if not given."
    )
    audit: Seconds | None = Field(
        None, ge=_DAY_S, description="The audit log; for good, if not given."
    )
    logs: Seconds = Field(7 * _DAY_S, ge=7200, description="Rotated access logs, once counted.")


class Usage(Section):
    """The ledger: who used how much of what."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = Field(
        "EUR", description="What prices and budgets in money are in."
    )
    rotate: Bytes = Field(
        256 * 1024**2, ge=64 * 1024, description="Size at which the access log is rotated."
    )
    keep: Keep = Field(Keep(), description="For how long.")
