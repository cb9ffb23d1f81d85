"""Web services beside the models: Qdrant, n8n, Open WebUI, Portainer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from infergate.config.base import Section
from infergate.config.types import Bytes, Host, HttpUrl, LocationPath, Secret


class Service(Section):
    """One service, reached below a path or under a host name of its own."""

    url: HttpUrl = Field(description="Where it runs.")
    path: LocationPath | None = Field(None, description="Path it is reached below; stripped.")
    host: Host | None = Field(None, description="Host name it is reached under.")
    auth: Literal["key", "none"] = Field(
        "key", description="key: an API key; none: it has its own login."
    )
    verify_tls: bool = Field(True, description="Check the certificate of an https service.")
    api_key: Secret | None = Field(
        None, description="Sent to the service as its api-key header; write it as ${NAME}."
    )
    max_body: Bytes | None = Field(None, ge=0, description="Largest upload; 0 is no limit.")
    security_headers: bool = Field(
        True, description="Add X-Frame-Options, nosniff, Referrer-Policy where it sends none."
    )

    @model_validator(mode="after")
    def _path_or_host(self) -> Service:
        if (self.path is None) == (self.host is None):
            raise ValueError("give exactly one of path and host")
        return self
