"""The whole of infergate.yaml as one frozen value."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Literal

from pydantic import Field, model_validator

from infergate.config.access import Access, Cors
from infergate.config.api import Api
from infergate.config.auth import Auth
from infergate.config.backends import Backend, Health
from infergate.config.bans import Bans
from infergate.config.base import Section
from infergate.config.edge import Admin, Errors, Gzip, Limits, Listen
from infergate.config.guardrails import Guardrail
from infergate.config.kept import KeptAnswers
from infergate.config.log import Log
from infergate.config.metrics import Metrics
from infergate.config.models import Model, Timeouts
from infergate.config.policies import Breaker, Queue, Retries, Validation
from infergate.config.serve import Served, backends_of
from infergate.config.services import Service
from infergate.config.tls import Tls
from infergate.config.tracing import Tracing
from infergate.config.types import EndpointPath, ModelName, Name, Workers
from infergate.config.usage import Store, Usage
from infergate.config.waf import Waf

ANY_MODEL = "*"
"""The entry of `models:` that stands for every model its backends have."""


class Config(Section):
    """One gateway. Only `backends` or `serve` is needed; everything else has a default."""

    engine: str = Field("auto", description="auto, embedded, debian, system or /path/to/nginx.")
    engine_upgrade: Literal["by_hand", "weekly"] = Field(
        "by_hand", description="weekly: `infergate engine upgrade` once a week, of Debian's engine."
    )
    workers: Workers = Field("auto", description="nginx worker processes.")
    user: Name | None = Field(None, description="Who nginx's workers run as, when started by root.")
    listen: Listen = Field(Listen(http="*:8080"), description="Ports of the gateway.")
    tls: Tls | None = Field(None, description="Certificates.")
    auth: Auth = Field(Auth(), description="API keys.")
    limits: Limits = Field(Limits(), description="Limits for everybody.")
    access: Access = Field(Access(), description="Who may talk to the gateway at all.")
    cors: Cors | None = Field(
        None, description="Web pages of other sites that may use the API; none, when not given."
    )
    backends: dict[Name, Backend] = Field(
        {},
        min_length=1,
        max_length=1000,
        description="The inference servers, besides those of serve.",
    )
    serve: dict[Name, Served] = Field(
        {}, max_length=200, description="Engines that `infergate deploy serve` brings as services."
    )
    health: Health = Field(Health(), description="How backends are probed.")
    models: dict[ModelName, Model] = Field(
        {}, description='The models; "*" is every model its backends have; all of all, when empty.'
    )
    default_model: ModelName | None = Field(
        None, description="For a request that names no model, or one that nobody has."
    )
    timeouts: Timeouts = Field(Timeouts(), description="How long backends are waited for.")
    endpoints: dict[EndpointPath, Timeouts] = Field(
        {}, description="Timeouts of single endpoints, for models that say none themselves."
    )
    queue: Queue = Field(Queue(), description="Where requests wait for a free backend.")
    retries: Retries = Field(Retries(), description="Attempts at other backends.")
    breaker: Breaker = Field(Breaker(), description="When a failing backend is left alone.")
    validation: Validation = Field(
        "lenient", description="How closely request bodies are checked before a backend gets them."
    )
    store: Store = Field(Store(), description="Where keys and usage are kept.")
    usage: Usage = Field(Usage(), description="Counting, prices, rotation.")
    errors: Errors = Field(Errors(), description="What the gateway answers when it refuses.")
    cache: KeptAnswers = Field(KeptAnswers(), description="Room for answers that are kept.")
    gzip: Gzip = Field(
        "services",
        description="What is compressed: services and lists; the answers of models too; nothing.",
    )
    services: dict[Name, Service] = Field({}, description="Web services next to the models.")
    waf: Waf = Field(Waf(), description="Web application firewall.")
    bans: Bans = Field(Bans(), description="Addresses that are no longer answered.")
    metrics: Metrics = Field(Metrics(), description="Numbers for Prometheus.")
    log: Log = Field(Log(), description="A second access log, for other programs.")
    tracing: Tracing | None = Field(None, description="Traces for OpenTelemetry.")
    api: Api | None = Field(
        None, description="The API tier: other dialects, endpoints of your own."
    )
    guardrails: dict[Name, Guardrail] = Field(
        {}, description="What requests and answers are looked through for, by names."
    )
    admin: Admin = Field(Admin(), description="The admin API.")

    @model_validator(mode="after")
    def _with_what_is_served(self) -> Config:
        """Each entry of `serve` is a backend; `models` may name it as one."""
        if not self.serve:
            return self
        served = backends_of(self.serve)
        backends = {name: each for of_one in served.values() for name, each in of_one.items()}
        models = {
            name: model.model_copy(
                update={"backends": list(_expanded(model.backends, served, self.backends))}
            )
            for name, model in self.models.items()
        }
        return self.model_copy(update={"backends": {**backends, **self.backends}, "models": models})


def _expanded(
    names: Iterable[str], served: Mapping[str, Iterable[str]], declared: Container[str]
) -> Iterator[str]:
    """Names of backends, with an entry of `serve` replaced by the backends that it is."""
    for name in names:
        yield from (served[name] if name in served and name not in declared else (name,))
