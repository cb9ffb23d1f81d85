"""Limits of keys and models, priorities, the queue, and what failing backends are kept from."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

from pydantic import Field

from infergate.config.addresses import Network
from infergate.config.base import Section
from infergate.config.budgets import Budgets
from infergate.config.types import Bytes, ModelName, Name, NameOrAny, Seconds
from infergate.contract.numbers import RETRY_ATTEMPTS, RETRY_BUDGET

Priority = Literal["high", "normal", "low"]
"""Classes of the queue, first to last."""

Validation = Literal["strict", "lenient", "off"]

_COUNT = 1_000_000_000


class Rates(Section):
    """How much may be asked for, by a key, of a model, or by everybody together."""

    requests_per_minute: int | None = Field(
        None, ge=1, le=_COUNT, description="Requests; as many at once, then evenly (GCRA)."
    )
    tokens_per_minute: int | None = Field(
        None,
        ge=1,
        le=_COUNT,
        description="Tokens of prompts and answers; estimated first, then corrected.",
    )
    concurrent: int | None = Field(
        None, ge=1, le=_COUNT, description="Requests at the same time, waiting ones included."
    )


class KeyLimits(Rates):
    """What one key may ask for."""

    max_prompt_bytes: Bytes | None = Field(
        None, ge=1, description="Largest request body of this key."
    )
    max_tokens: int | None = Field(
        None, ge=1, le=_COUNT, description="Longest answer a request may ask for."
    )


class KeyTerms(Section):
    """What holds for one key beside its models: how much, how soon, from where."""

    limits: KeyLimits = Field(KeyLimits(), description="What it may ask for.")
    priority: Priority = Field("normal", description="Its class in the queue.")
    weight: int = Field(1, ge=1, le=1000, description="Its share among keys of its class.")
    allow: list[Network] = Field([], description="Only from these networks; any, when empty.")
    deny: list[Network] = Field([], description="Never from these networks.")
    services: list[NameOrAny] = Field(["*"], description="Services with auth: key that it may use.")
    explain: bool = Field(False, description="Answers say which backend gave them, and why.")
    budget: Budgets = Field([], description="What it may use up in an hour, day, week or month.")


class Grant(KeyTerms):
    """All that a key may do. Of what it leaves unset, a named policy may decide."""

    models: list[ModelName] = Field(
        ["*"], min_length=1, description="Models it may use; qwen-* is every name that begins so."
    )
    guardrails: list[Name] = Field(
        [], max_length=20, description="What its requests and answers are looked through for."
    )
    manage: bool = Field(False, description="May pull, delete and create models on Ollama.")

    def over(self, policy: Grant) -> Grant:
        """This one where it says something, and the policy where it does not."""
        own, common = (each.model_dump(exclude_unset=True) for each in (self, policy))
        limits = {**common.get("limits", {}), **own.get("limits", {})}
        return Grant.model_validate({**common, **own, "limits": limits})

    def changed(self, given: Grant, unset: Container[str] = ()) -> Grant:
        """This one with what is given, and without the settings (of limits too) named in unset."""
        values = given.over(self).model_dump(exclude_unset=True)
        limits = values.pop("limits")
        values["limits"] = {name: value for name, value in limits.items() if name not in unset}
        kept = {name: value for name, value in values.items() if name not in unset}
        if not kept["limits"]:
            del kept["limits"]
        return Grant.model_validate(kept)


EVERYTHING = Grant()
"""Every model, without a limit."""


class Queue(Section):
    """Where requests wait while every backend of a model has max_in_flight requests."""

    max_length: int = Field(100, ge=0, le=10_000, description="Waiting at most; 0 turns it off.")
    max_wait: Seconds = Field(30.0, ge=0.1, le=3600, description="After this a request is refused.")
    ageing: Seconds = Field(
        10.0, ge=0.1, le=3600, description="Waiting this long lifts a request by one priority."
    )


class Retries(Section):
    """Attempts at other backends while no byte of an answer has gone to the client."""

    until: Literal["auto", "first_token", "head"] = Field(
        "auto",
        description="How long a streamed request may still go to another backend: until the head"
        " of the answer, which many engines send at once, or until its first token; auto: the"
        " latter for bodies of 8 KiB and more. Only where the model has another backend, or a"
        " fallback.",
    )

    attempts: int = Field(
        RETRY_ATTEMPTS, ge=1, le=4, description="At most, the first and fallbacks included."
    )
    budget: float = Field(
        RETRY_BUDGET,
        ge=0,
        le=1,
        description="Retries for each request, over 30 s; 10 are always allowed.",
    )


class Breaker(Section):
    """When a backend that fails real requests is left alone, and for how long."""

    failures: int = Field(5, ge=1, le=1000, description="Failures in a row that open it.")
    error_rate: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of failures in 30 s that opens it, from 20 requests.",
    )
    cooldown: Seconds = Field(5.0, ge=0.1, le=3600, description="Left alone this long at first.")
    max_cooldown: Seconds = Field(
        300.0, ge=0.1, le=86400, description="It doubles up to this, while the trials fail."
    )


class Canary(Section):
    """A share of a model's callers who get another model; each key always the same one."""

    model: str = Field(description="The other model.")
    percent: float = Field(gt=0, le=100, description="Share of the keys.")


class Shadow(Section):
    """A copy of requests for a second backend; its answers are thrown away."""

    backend: str = Field(description="Who gets the copies.")
    percent: float = Field(100.0, gt=0, le=100, description="Share of the requests.")


class Hedge(Section):
    """A second backend is asked when an embedding or a rerank takes longer than 95 % of the
    model's recent ones; the first good answer wins."""

    extra_load: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Second requests for each request, at most, over any run of them.",
    )
