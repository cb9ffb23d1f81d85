"""The outside of the gateway: listeners, who may come in, and how much."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from infergate.config.access import PerIp, SlowClients
from infergate.config.addresses import Host, ListenAddress
from infergate.config.base import Section
from infergate.config.policies import Rates
from infergate.config.types import Bytes, FilePath


class Listen(Section):
    """Ports of the gateway. A bare port is the short form of {http: PORT}."""

    http: ListenAddress | None = Field(None, description="Plain HTTP; redirects when https is set.")
    https: ListenAddress | None = Field(None, description="HTTPS; needs a tls: section.")
    hosts: list[Host] = Field(
        [], description="Host names of the API, others are refused; any, when empty."
    )
    proxy_protocol: bool = Field(
        False, description="Every connection begins with the PROXY protocol's line."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_port(cls, value: Any) -> Any:
        return {"http": value} if isinstance(value, int | str) else value


Gzip = Literal["services", "all", "off"]


class Limits(Rates):
    """Limits that hold for everybody, together."""

    per_ip: PerIp | None = Field(None, description="Per client address.")
    max_body: Bytes = Field(
        32 * 1024**2, ge=1024, le=1024**3, description="Largest request body; kept in memory."
    )
    max_header: Bytes = Field(
        8 * 1024, ge=1024, le=64 * 1024, description="Longest line of a request's head."
    )
    slow_clients: SlowClients = Field(
        SlowClients(), description="How long a client may be waited for."
    )


class Errors(Section):
    """The pages and texts of refusals."""

    page: FilePath | None = Field(
        None,
        description="HTML for browsers, instead of our own; {{status}}, {{title}}, {{message}} and "
        "{{request_id}} are filled in.",
    )


class Admin(Section):
    """The admin API: on a unix socket in the state folder, and where this says."""

    listen: ListenAddress | None = Field(
        None,
        description="Address and port, for holders of a token; with the gateway's certificate, "
        "if other machines can reach it. None, if not given.",
    )
    hosts: list[Host] = Field(
        [], description="Names it is called by, besides localhost and those of listen."
    )
    page: bool = Field(True, description="The page for people, there too.")
    edit: bool = Field(
        True,
        description="Tokens of the role full may write this file. What it says, the gateway's "
        "user does: off, whoever holds such a token can do less.",
    )
