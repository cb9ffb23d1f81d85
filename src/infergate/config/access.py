"""Who may come in, from where, and how fast: for the whole gateway and for single services."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from infergate.config.addresses import Network, Origin, OriginOrAny
from infergate.config.base import Section
from infergate.config.types import HeaderName, HeaderPattern, PlainText, Rate, Seconds

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "MKCOL")


def _method(value: str) -> str:
    if value.upper() not in _METHODS:
        raise ValueError(f"{value!r} is not one of {', '.join(_METHODS)}")
    return value.upper()


Method = Annotated[str, AfterValidator(_method)]


class Rules(Section):
    """Who may come in."""

    allow: list[Network] = Field([], description="Only these networks; everybody, when empty.")
    deny: list[Network] = Field([], description="Never these networks.")
    deny_user_agents: list[PlainText] = Field([], description="Refused by part of the User-Agent.")
    allow_user_agents: list[PlainText] = Field(
        [], description="Only those with one of these in the User-Agent; all, when empty."
    )
    methods: list[Method] = Field([], description="Only these HTTP methods; all, when empty.")


class Access(Rules):
    """Who may talk to the gateway at all."""

    trusted_proxies: list[Network] = Field(
        [], description="Proxies trusted to state the client's address; empty: none."
    )
    origins: list[Origin] = Field(
        [],
        description="Web pages that may call a gateway without keys, such as "
        "https://chat.example.com, besides those of this machine.",
    )
    identity_headers: list[HeaderPattern] = Field(
        [],
        description="More headers that say who somebody is, which a client may not: X-Corp-User, "
        "or X-Corp-* for X-Corp-User, X-Corp-Email and their like.",
    )


class Cors(Section):
    """Web pages of other sites that may use it (CORS)."""

    origins: list[OriginOrAny] = Field(
        min_length=1,
        description='Their origins: https://chat.example.com, https://*.example.com, "*" for any.',
    )
    methods: list[Method] = Field(
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], description="Methods they may use."
    )
    headers: list[HeaderName] = Field(
        [], description="Headers they may send; whichever they ask for, when empty."
    )
    expose: list[HeaderName] = Field(
        [], description="Headers of an answer that they may read, besides those of the gateway."
    )
    credentials: bool = Field(
        False, description="Cookies and passwords of the browser go along; not for any origin."
    )
    max_age: Seconds = Field(
        7200.0, ge=0, le=86400, description="How long a browser keeps what it was told."
    )

    @model_validator(mode="after")
    def _not_everybody_s_cookies(self) -> Cors:
        if self.credentials and "*" in self.origins:
            raise ValueError('credentials: true needs the origins by name, not "*"')
        return self


class PerIp(Section):
    """What one client address may do."""

    rate: Rate | None = Field(None, description="Requests: 10r/s or 30r/m.")
    burst: int = Field(
        20, ge=0, le=100_000, description="Requests above the rate let through at once."
    )
    connections: int | None = Field(
        None, ge=1, le=65_535, description="Requests at the same time; in HTTP/2, each stream."
    )

    @model_validator(mode="after")
    def _something(self) -> PerIp:
        if self.rate is None and self.connections is None:
            raise ValueError("give a rate, connections, or both")
        return self


class SlowClients(Section):
    """How long a client may keep a connection busy without doing anything."""

    header: Seconds = Field(
        15.0, ge=1, le=600, description="For the whole head of a request, however it drips."
    )
    body: Seconds = Field(60.0, ge=1, le=3600, description="Between two pieces of its body.")
    answer: Seconds = Field(
        60.0, ge=1, le=3600, description="Between two moments in which it takes some of the answer."
    )
