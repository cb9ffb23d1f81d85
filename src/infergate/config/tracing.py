"""Where traces go, and which."""

from __future__ import annotations

from pydantic import Field

from infergate.config.addresses import HttpUrl
from infergate.config.base import Section
from infergate.config.types import FilePath, Seconds


class Tracing(Section):
    """Spans of each request for OpenTelemetry (docs/tracing.md); none, when not given."""

    endpoint: HttpUrl = Field(
        description="An OTLP/HTTP receiver: http://127.0.0.1:4318; /v1/traces is put behind it, "
        "if it has no path."
    )
    headers_file: FilePath | None = Field(
        None, description="Lines `name: value` for the receiver, such as its key."
    )
    ca_file: FilePath | None = Field(
        None, description="Who signed its certificate, if nobody that this machine knows."
    )
    sample: float = Field(
        0.1, ge=0, le=1, description="The share of traces that are sent, chosen by their id."
    )
    slow: Seconds = Field(
        30.0, gt=0, description="One that took so long is sent always, as one that failed is."
    )
