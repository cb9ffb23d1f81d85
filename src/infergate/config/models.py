"""The models clients ask for by name, and where each is served."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from infergate.config.base import Section
from infergate.config.deprecated import Deprecated
from infergate.config.params import Params
from infergate.config.policies import (
    Canary,
    Hedge,
    Queue,
    Rates,
    Retries,
    Shadow,
    Validation,
)
from infergate.config.types import HeaderName, ModelName, ModelSize, Name, Seconds
from infergate.config.usage import Price

Balance = Literal["round_robin", "least_conn", "ip_hash", "least_busy", "prefix", "session", "work"]


class Timeouts(Section):
    """How long the gateway waits for a backend, by phase."""

    connect: Seconds = Field(2.0, ge=0.05, le=75, description="Until the TCP connection stands.")
    first_byte: Seconds | None = Field(
        None,
        ge=0.1,
        le=86400,
        description="From request to first byte; by what is asked for, from default to maximum.",
    )
    default: Seconds = Field(
        90.0, ge=0.1, le=86400, description="The first byte's time where no rule gives it more."
    )
    maximum: Seconds = Field(
        600.0, ge=0.1, le=86400, description="The most that a rule gives the first byte."
    )
    idle: Seconds | None = Field(
        None,
        ge=0.1,
        le=86400,
        description="Between two pieces of an answer; as the first byte's, and 60 s at least.",
    )
    total: Seconds | None = Field(
        None, ge=0.1, le=86400, description="From the request to the end of the answer; no limit."
    )
    dynamic: bool = Field(
        True,
        description="Rules give the first byte more than default, or than first_byte where answers "
        "of this max_tokens were measured to take longer.",
    )

    @property
    def least(self) -> float:
        """What the first byte gets in any case, in seconds."""
        return self.default if self.first_byte is None else self.first_byte

    @model_validator(mode="after")
    def _in_order(self) -> Timeouts:
        if self.maximum < self.default:
            raise ValueError(
                f"maximum ({self.maximum:g}s) is below default ({self.default:g}s): "
                "raise maximum, or lower default"
            )
        return self


class Cache(Section):
    """Answers that are served again for the same request: embeddings, reranks, scores."""

    ttl: Seconds = Field(
        3600.0, ge=1, le=2_592_000, description="How long an answer may be served again."
    )
    shared: bool = Field(
        False, description="Serve it to every key, not only to those of its own team."
    )
    completions: bool = Field(False, description="Completions with temperature 0, too.")


class Model(Section):
    """One model. A list of backend names is the short form."""

    backends: list[Name] = Field(min_length=1, description="Who serves it.")
    balance: Balance = Field("work", description="How one of them is picked.")
    aliases: list[ModelName] = Field([], description="Other names clients may use for it.")
    deprecated: dict[ModelName, Deprecated] = Field(
        {}, description="Of its names, aliases or its own, those that go away."
    )
    upstream_name: ModelName | None = Field(None, description="What the backends call it.")
    upstream_names: dict[Name, ModelName] = Field(
        {}, description="What single backends, or groups, call it: gpu2: qwen3:8b."
    )
    size: ModelSize | None = Field(
        None,
        description="Its parameters, as 32B, if neither its backend nor its name says. Larger "
        "models get more time (timeouts).",
    )
    unlisted: bool = Field(
        False, description="Served to who asks for it, and in no list of models."
    )
    params: Params = Field(Params(), description="Parameters that are set, defaulted or taken out.")
    session_header: HeaderName = Field(
        "x-session-id", description="What balance: session goes by, before the body's user."
    )
    limits: Rates = Field(Rates(), description="For everybody who uses this model.")
    queue: Queue | None = Field(None, description="Instead of the queue at the top level.")
    retries: Retries | None = Field(None, description="Instead of the retries at the top level.")
    validation: Validation | None = Field(
        None, description="Instead of the validation at the top level."
    )
    canary: Canary | None = Field(None, description="Another model for a share of the keys.")
    shadow: Shadow | None = Field(None, description="A copy of the requests for one more backend.")
    hedge: Hedge | None = Field(None, description="Ask a second backend when the first is late.")
    fallback: list[ModelName] = Field([], description="Models to try when every backend failed.")
    continuations: int = Field(
        0,
        ge=0,
        le=5,
        description="How often another backend goes on with the text of a stream that broke off: "
        "docs/api.md. Needs api.",
    )
    timeouts: Timeouts | None = Field(None, description="Instead of the timeouts at the top level.")
    price: Price | None = Field(None, description="What its tokens cost.")
    guardrails: list[Name] = Field(
        [], max_length=20, description="What its requests and answers are looked through for."
    )
    cache: Cache | None = Field(None, description="Keep answers and serve them again.")

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"backends": value} if isinstance(value, list) else value

    def name_at(self, backend: str) -> str | None:
        """What a backend calls it, where that is not the model's own name."""
        return self.upstream_names.get(backend, self.upstream_name)
