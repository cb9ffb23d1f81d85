"""The inference servers behind the gateway, and how their health is asked."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from infergate.config.base import Section
from infergate.config.types import HealthCheck, HttpUrl, ModelName, Seconds, Secret

EngineKind = Literal[
    "auto", "vllm", "ollama", "llamacpp", "sglang", "tei", "infinity", "ray", "openai"
]


class Backend(Section):
    """One inference server. A plain URL is the short form."""

    url: HttpUrl = Field(description="Base URL; a trailing /v1 is understood and dropped.")
    engine: EngineKind = Field("auto", description="What runs there; auto asks the server itself.")
    health: HealthCheck = Field(
        "auto",
        description="What shows that it is up: auto, what its engine offers; a path that answers "
        "2xx; tcp, an accepted connection.",
    )
    weight: int = Field(1, ge=1, le=1000, description="Share of the load relative to the others.")
    max_in_flight: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Requests at once it gets at most; more wait in the queue.",
    )
    api_key: Secret | None = Field(None, description="Key the backend wants; write it as ${NAME}.")
    verify_tls: bool = Field(True, description="Check the certificate of an https backend.")
    pass_priority: bool = Field(
        False,
        description="Tell vLLM the caller's priority; it needs --scheduling-policy priority.",
    )
    models: list[ModelName] | None = Field(
        None, description="The models it has, where it cannot be asked; else they are discovered."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (443 if self.scheme == "https" else 80)

    @property
    def path_prefix(self) -> str:
        """What comes before /v1 or /api in the backend's own paths; usually empty."""
        return urlsplit(self.url).path.rstrip("/").removesuffix("/v1")

    @property
    def root_url(self) -> str:
        """The URL its /v1, /api and /health paths hang below."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path_prefix}"

    @property
    def checks_certificate(self) -> bool:
        """Whether there is one to check: a client that can takes 25 ms to make."""
        return self.verify_tls and self.scheme == "https"


class Health(Section):
    """Active probes, sent by the control plane to every backend."""

    interval: Seconds = Field(3.0, ge=0.1, le=3600, description="Time between two probes.")
    timeout: Seconds = Field(
        1.0, ge=0.05, le=600, description="A probe unanswered this long failed."
    )
    rise: int = Field(2, ge=1, le=100, description="Good probes in a row until a backend is up.")
    fall: int = Field(3, ge=1, le=100, description="Failed probes in a row until it is down.")
    hung_after: Seconds = Field(
        60.0,
        ge=0,
        le=86400,
        description="Requests but no token for so long: it is hung and gets no more; 0 is never.",
    )
    slow_start: Seconds = Field(
        30.0,
        ge=0,
        le=3600,
        description="One that was down gets its full share this long after; 0 is at once.",
    )
