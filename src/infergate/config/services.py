"""Web services next to the models: Qdrant, n8n, Open WebUI, Portainer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from infergate.config.access import Cors, PerIp, Rules
from infergate.config.addresses import Host, HttpUrl, LoginUrl, ServiceUrl
from infergate.config.base import Section
from infergate.config.headers import FORWARDED, HOP_BY_HOP, KEYS
from infergate.config.types import (
    Bytes,
    FilePath,
    HeaderName,
    HealthCheck,
    LocationPath,
    Name,
    PasswordHash,
    Seconds,
    Secret,
    ServicePath,
)
from infergate.config.waf import ServiceWaf


class Forward(Section):
    """An endpoint that is asked about each request, such as Authelia's or oauth2-proxy's."""

    url: HttpUrl = Field(description="Answers 2xx to let a request in, 401 or 403 to refuse it.")
    login: LoginUrl | None = Field(
        None,
        description="Where a browser logs in; the address it wanted is appended, encoded.",
    )
    path: LocationPath | None = Field(
        None, description="Path of the service's host that the endpoint answers: /oauth2/."
    )
    headers: list[HeaderName] = Field(
        [], description="Headers of its answer that the service gets, such as Remote-User."
    )
    verify_tls: bool = Field(True, description="Check the certificate of an https endpoint.")


class KeptFiles(Section):
    """What is kept of a service's answers to GET, to be given again to whom each was made for."""

    paths: list[LocationPath] = Field(
        min_length=1,
        description="Below these paths of the service: files that are the same for everybody.",
    )
    ttl: Seconds = Field(
        600.0,
        ge=1,
        le=365 * 86400,
        description="How long an answer is given again that does not say so itself.",
    )
    max_size: Bytes = Field(
        256 * 1024**2,
        ge=1024**2,
        description="On the disk; what was asked for least lately goes first.",
    )

    @model_validator(mode="after")
    def _each_once(self) -> KeptFiles:
        twice = next((path for path in self.paths if self.paths.count(path) > 1), None)
        if twice is not None:
            raise ValueError(f"paths has {twice} twice")
        return self


class Service(Section):
    """One service, reached below a path or under a host name of its own."""

    url: ServiceUrl = Field(description="Where it runs; grpc:// or grpcs:// for gRPC.")
    path: ServicePath | None = Field(
        None, description="Path it is reached below; stripped. / is what the API has not itself."
    )
    host: Host | None = Field(None, description="Host name it is reached under.")
    auth: Literal["key", "basic", "forward", "none"] = Field(
        "key",
        description="key: an API key; basic: a name and a password of `users`; forward: who "
        "`forward` lets in; none: it has its own login.",
    )
    users: dict[Name, PasswordHash] = Field(
        {}, description="Name: hashed password, for auth: basic."
    )
    users_file: FilePath | None = Field(
        None, description="An htpasswd file of such lines; read when the configuration is."
    )
    forward: Forward | None = Field(None, description="Who decides, for auth: forward.")
    access: Rules = Field(Rules(), description="Who may come in here.")
    cors: Cors | None = Field(
        None, description="Web pages of other sites that may use it; its own word, when not given."
    )
    per_ip: PerIp | None = Field(
        None, description="What one address may do here; that of limits, when not given."
    )
    verify_tls: bool = Field(True, description="Check the certificate of an https service.")
    ca_file: FilePath | None = Field(
        None, description="The authority of its certificate (PEM); the machine's, when not given."
    )
    api_key: Secret | None = Field(
        None, description="Sent to the service in api_key_header; write it as ${NAME}."
    )
    api_key_header: HeaderName = Field(
        "api-key", description="The header of api_key; authorization sends it as Bearer."
    )
    max_body: Bytes | None = Field(None, ge=0, description="Largest upload; 0 is no limit.")
    idle: Seconds = Field(
        3600.0, ge=1, le=86400, description="Silence after which a connection to it is cut."
    )
    health: HealthCheck = Field(
        "auto",
        description="What shows that it is up: auto, any answer below 500; a path that answers "
        "2xx; tcp, an accepted connection.",
    )
    cache: KeptFiles | None = Field(
        None, description="Its static files, kept to be given again; nothing is, when not given."
    )
    waf: ServiceWaf = Field(ServiceWaf(), description="What differs from the waf section.")
    client_headers: list[HeaderName] = Field(
        [],
        description="Headers that say who somebody is and that its clients may send all the same, "
        "because it checks them itself: X-User-Id of Rocket.Chat.",
    )
    security_headers: bool = Field(
        True, description="Add X-Frame-Options, nosniff, Referrer-Policy where it sends none."
    )

    @property
    def is_grpc(self) -> bool:
        return self.url.startswith("grpc")

    @property
    def http_url(self) -> str:
        """Its address as it would be without gRPC."""
        return self.url.replace("grpc", "http", 1) if self.is_grpc else self.url

    @model_validator(mode="after")
    def _what_grpc_has(self) -> Service:
        if not self.is_grpc:
            return self
        if self.host is None:
            raise ValueError("a gRPC service needs a host: its clients know no path before theirs")
        if "/" in self.url.partition("://")[2]:
            raise ValueError("the address of a gRPC service has no path")
        if self.auth not in ("key", "none"):
            raise ValueError("auth: key or none: the clients of a gRPC service know no other")
        if self.health not in ("auto", "tcp"):
            raise ValueError("a gRPC service is up when it takes a connection: health: tcp")
        for name in ("cache", "cors"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is nothing for a gRPC service")
        if self.waf.mode not in (None, "off"):
            raise ValueError("the firewall cannot read gRPC: waf: off")
        return self

    @model_validator(mode="after")
    def _path_or_host(self) -> Service:
        if (self.path is None) == (self.host is None):
            raise ValueError("give exactly one of path and host")
        return self

    @model_validator(mode="after")
    def _of_clients_alone(self) -> Service:
        ours = {name.lower() for name in (*FORWARDED, *HOP_BY_HOP, "X-Forwarded-User")}
        ours |= {name.lower() for name in (self.forward.headers if self.forward else ())}
        ours |= {*(name.lower() for name in KEYS), self.api_key_header.lower()}
        for name in self.client_headers:
            if name.lower() in ours or name.lower().startswith("x-infergate-"):
                raise ValueError(f"client_headers has {name}, which only the gateway may say")
        return self

    @model_validator(mode="after")
    def _what_auth_needs(self) -> Service:
        if (self.auth == "basic") != bool(self.users or self.users_file):
            raise ValueError("auth: basic needs users or users_file, and no other auth has them")
        if (self.auth == "forward") != (self.forward is not None):
            raise ValueError("auth: forward needs forward, and no other auth has it")
        if self.path is not None and self.forward is not None and self.forward.path is not None:
            raise ValueError("forward.path needs a host: below a path there is no room for it")
        if self.forward and self.cache and self.forward.path in self.cache.paths:
            raise ValueError("cache.paths has forward.path, whose answers are nobody else's")
        return self
