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
_MS_PRICED = 1000
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


def _price_of_one(value: Decimal) -> Decimal:
    if value * NANO % 1:
        raise ValueError("at most nine decimals")
    return value


def _price_of_time(value: Decimal) -> Decimal:
    if value * NANO % _MS_PRICED:
        raise ValueError("at most six decimals: a millionth for a second")
    return value


_Amount = Annotated[Decimal, Field(ge=0, le=1_000_000)]
_Price = Annotated[_Amount, AfterValidator(_price)]


class Price(Section):
    """What a model costs: a million tokens, a request that it answered, a second of it."""

    input: _Price = Field(Decimal(0), description="A million tokens of prompts.")
    output: _Price = Field(Decimal(0), description="A million tokens of answers.")
    cached_input: _Price | None = Field(
        None, description="A million tokens of prompts found in the backend's cache; as input."
    )

    per_request: Annotated[_Amount, AfterValidator(_price_of_one)] = Field(
        Decimal(0), description="A request that was answered."
    )
    per_second: Annotated[_Amount, AfterValidator(_price_of_time)] = Field(
        Decimal(0), description="A second of such a request, without its time in the queue."
    )

    def nano(
        self, prompt: int, completion: int, cached: int, answered: int = 0, took_ms: int = 0
    ) -> int:
        """The price of requests in billionths of the currency's unit.

        prompt, completion: tokens; cached: those of the prompt that came from a cache; answered:
        the requests that a backend answered; took_ms: the time of these.
        """
        cached = min(cached, prompt)
        cached_price = self.input if self.cached_input is None else self.cached_input
        whole = (
            (prompt - cached) * self.input + completion * self.output + cached * cached_price
        ) * (NANO // _TOKENS_PRICED)
        whole += answered * self.per_request * NANO
        whole += took_ms * self.per_second * (NANO // _MS_PRICED)
        return int(whole)


class Keep(Section):
    """How long usage, the audit log and old access logs are kept."""

    minutes: Seconds = Field(2 * _DAY_S, ge=3600, description="Usage by the minute.")
    hours: Seconds = Field(92 * _DAY_S, ge=32 * _DAY_S, description="Usage by the hour.")
    days: Seconds | None = Field(
        None, ge=32 * _DAY_S, description="Usage by the day; forever, if not given."
    )
    audit: Seconds | None = Field(
        None, ge=_DAY_S, description="The audit log; forever, if not given."
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
