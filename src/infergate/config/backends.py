"""The inference servers behind the gateway, and how their health is asked."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from infergate.config.addresses import HostPort, HttpUrl
from infergate.config.base import Section
from infergate.config.headers import FORWARDED, HOP_BY_HOP
from infergate.config.types import (
    FilePath,
    HeaderName,
    HeaderValue,
    HealthCheck,
    ModelName,
    Name,
    Seconds,
    Secret,
)
from infergate.kinds import KINDS

if TYPE_CHECKING:
    EngineKind = str
else:
    EngineKind = Literal["auto", *KINDS]


_OURS = frozenset(
    name.lower()
    for name in (
        *(*HOP_BY_HOP, *FORWARDED, "Host", "X-Request-Id", "Accept-Encoding", "Origin"),
        *("Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Expect"),
    )
)
"""Headers that nginx or njs sets towards every backend."""

NOWHERE = "http://missing.invalid"
"""Stands where a URL must be and there is none (RFC 6761: never a real host)."""


_split = lru_cache(maxsize=4096)(urlsplit)
"""Python's own memory has 128 places, and each step of an apply asks of every backend."""


class Discover(Section):
    """Where the backends of a group are found: by DNS, or in a file."""

    dns: HttpUrl | None = Field(
        None,
        description="A URL whose name has an address for each backend; a name that begins with _ "
        "has SRV records, which tell the ports too.",
    )
    file: FilePath | None = Field(
        None,
        description="A JSON or YAML file that lists backends, or *.conf, the inside of an nginx "
        "upstream; it is read when it changes.",
    )
    interval: Seconds = Field(
        30.0, ge=1, le=86400, description="Longest time between look-ups; a shorter TTL is kept."
    )
    name_server: HostPort | None = Field(
        None, description="Asked instead of the machine's own, such as 10.0.0.53 or 10.0.0.2:8600."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Discover:
        if (self.dns is None) == (self.file is None):
            raise ValueError("give exactly one of dns and file")
        if self.dns is not None and not self.dns.startswith("http://"):
            raise ValueError("only http can be discovered by DNS: a certificate is for a name")
        return self


class ModelFilter(Section):
    """Which of the models that a backend has are served, by patterns like those of file names
    (`*`, `?`, `[ab]`), in any case; `*` goes over a slash, too."""

    include: list[ModelName] = Field([], max_length=200, description="These; all, when empty.")
    exclude: list[ModelName] = Field([], max_length=200, description='But not these: ["*-embed*"].')

    @property
    def lets_all(self) -> bool:
        return not self.include and not self.exclude

    def lets(self, model: str) -> bool:
        """Whether a model of this name, as its backend knows it, is served."""
        return not _is_like(model, self.exclude) and (
            not self.include or _is_like(model, self.include)
        )


def _is_like(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


class Backend(Section):
    """One inference server, or with `discover` a group of them. A plain URL is the short form."""

    url: HttpUrl = Field(description="Base URL; a trailing /v1 is understood and dropped.")
    engine: EngineKind = Field("auto", description="What runs there; auto asks the server itself.")
    health: HealthCheck = Field(
        "auto",
        description="What shows that it is up: auto, what its engine offers; a path that answers "
        "2xx; tcp, an accepted connection.",
    )
    weight: int = Field(1, ge=1, le=1000, description="Share of the load relative to the others.")
    backup: bool = Field(
        False,
        description="It gets requests only while no other backend of the model can; priority 1.",
    )
    priority: int = Field(
        0,
        ge=0,
        le=9,
        description="The lowest first: others get requests only while none of a lower one can.",
    )
    max_in_flight: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Requests at once it gets at most; more wait in the queue.",
    )
    kv_cache_tokens: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Tokens that its KV cache holds, for balance: work; else what it tells (vLLM,"
        " SGLang, llama.cpp).",
    )
    prefill_speed: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Prompt tokens it reads in a second, for balance: work; else 8000 by weight.",
    )
    api_key: Secret | None = Field(None, description="Key the backend wants; write it as ${NAME}.")
    api_key_header: HeaderName = Field(
        "authorization",
        description="The header of api_key; authorization sends it as Bearer, others as it is:"
        " api-key of Azure, x-api-key.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        {}, description="Sent with every request, instead of a client's own: X-Tenant: ${TENANT}."
    )
    verify_tls: bool = Field(True, description="Check the certificate of an https backend.")
    pass_priority: bool = Field(
        False,
        description="Tell vLLM the caller's priority; it needs --scheduling-policy priority.",
    )
    websocket: bool = Field(
        False,
        description="It takes a WebSocket on /v1/responses, which is relayed unread: only for keys "
        "that may use every model and have no limit, budget, team or end.",
    )
    models: list[ModelName] | None = Field(
        None, description="The models it has, where it cannot be asked; else they are discovered."
    )
    model_filter: ModelFilter = Field(
        ModelFilter(), description="Which of its discovered models are served."
    )
    check_interval: Seconds | None = Field(
        None, ge=0.1, le=86400, description="Time between two probes, instead of health.interval."
    )
    check_timeout: Seconds | None = Field(
        None, ge=0.05, le=600, description="How long a probe is waited for; as health.timeout."
    )
    discover: Discover | None = Field(
        None, description="Finds its backends instead of url; the other settings hold for each."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("discover") is not None:
            if "url" in value:
                raise ValueError("give url or discover, not both")
            return {**value, "url": NOWHERE}
        return {"url": value} if isinstance(value, str) else value

    @property
    def scheme(self) -> str:
        return _split(self.url).scheme

    @property
    def host(self) -> str:
        return _split(self.url).hostname or ""

    @property
    def port(self) -> int:
        return _split(self.url).port or (443 if self.scheme == "https" else 80)

    @property
    def path_prefix(self) -> str:
        """What comes before /v1 or /api in the backend's own paths; usually empty."""
        return _split(self.url).path.rstrip("/").removesuffix("/v1")

    @property
    def root_url(self) -> str:
        """The URL its /v1, /api and /health paths hang below."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path_prefix}"

    @property
    def step(self) -> int:
        """How many of the other priorities come before it, at most; 0 for what is asked first."""
        return self.priority or int(self.backup)

    @property
    def sent_headers(self) -> dict[str, str]:
        """What every request of ours carries for it, secrets among them; names in lower case."""
        sent = {name.lower(): value.get_secret_value() for name, value in self.headers.items()}
        if self.api_key is not None:
            name, secret = self.api_key_header.lower(), self.api_key.get_secret_value()
            sent[name] = f"Bearer {secret}" if name == "authorization" else secret
        return sent

    @model_validator(mode="after")
    def _one_place(self) -> Backend:
        if self.backup and self.priority:
            raise ValueError("give backup (which is priority 1) or priority, not both")
        return self

    @model_validator(mode="after")
    def _headers_of_the_operator(self) -> Backend:
        names = [name.lower() for name in self.headers]
        key = self.api_key_header.lower()
        for name in (*names, key):
            if name in _OURS or name.startswith("x-infergate-"):
                raise ValueError(f"the gateway itself says {name}")
        if "authorization" in names or (self.api_key is not None and key in names):
            raise ValueError(f"give the key as api_key, and its header as api_key_header: {key}")
        return self

    @field_validator("headers", mode="before")
    @classmethod
    def _once_each(cls, value: Any) -> Any:
        names = [str(name).lower() for name in value] if isinstance(value, dict) else []
        if len(set(names)) < len(names):
            raise ValueError("two headers differ only in case")
        return value

    @property
    def checks_certificate(self) -> bool:
        """Whether there is one to check: a client that can takes 25 ms to make."""
        return self.verify_tls and self.scheme == "https"


class AddedBackend(Backend):
    """One that an operator added while the gateway ran: it serves every model that it has and the
    gateway serves, because no list of the file can name it."""


class ServedBackend(Backend):
    """One that follows from `serve`."""


class FoundBackend(Section):
    """One backend of a group, as DNS or a file has it; what it leaves out, the group says."""

    name: Name
    url: HttpUrl
    engine: EngineKind | None = None
    health: HealthCheck | None = None
    weight: int | None = Field(None, ge=1, le=1000)
    backup: bool | None = None
    priority: int | None = Field(None, ge=0, le=9)
    max_in_flight: int | None = Field(None, ge=1, le=100_000)
    models: list[ModelName] | None = None

    def of(self, group: Backend) -> Backend:
        """It with the settings of its group."""
        own = self.model_dump(exclude={"name"}, exclude_none=True)
        return group.model_copy(update={**own, "discover": None})


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
    ready: list[ModelName] = Field(
        [], description="Models that /readyz needs a backend of; every model, when empty."
    )

    def of(self, backend: Backend) -> Health:
        """How this backend is probed."""
        own = {"interval": backend.check_interval, "timeout": backend.check_timeout}
        said = {name: value for name, value in own.items() if value is not None}
        return self.model_copy(update=said) if said else self
