"""The API tier: what nginx cannot answer by itself (docs/api.md)."""

from __future__ import annotations

from pydantic import Field, model_validator

from infergate.config.base import Section
from infergate.config.batches import Batches
from infergate.config.responses import KeptResponses
from infergate.config.types import Bytes, EndpointPath, FilePath


class Api(Section):
    """It is there where the file has this section; its processes begin with the first request."""

    workers: int = Field(1, ge=1, le=64, description="Its processes that translate.")
    endpoints: FilePath | None = Field(
        None, description="A folder of Python files with endpoints of your own."
    )
    takes: list[EndpointPath] = Field(
        [],
        max_length=50,
        description="Paths of the gateway itself that those answer instead, such as /rerank.",
    )
    batches: Batches | None = Field(
        None, description="OpenAI's files and batches; none, when not given."
    )
    responses: KeptResponses | None = Field(
        None, description="What is kept of `/v1/responses`; nothing, when not given."
    )
    endpoint_memory: Bytes = Field(
        2 * 1024**3,
        ge=256 * 1024**2,
        description="Of addresses, for each of these files: what needs more gets a MemoryError.",
    )

    @model_validator(mode="after")
    def _takes_for_somebody(self) -> Api:
        if self.takes and self.endpoints is None:
            raise ValueError("takes is for endpoints of your own: name their folder in endpoints")
        for path in self.takes:
            if path in _KEPT or (path.endswith("/") and path != "/"):
                raise ValueError(f"{path} cannot be taken")
        return self


_KEPT = ("/healthz", "/readyz", "/metrics")
"""What watches the gateway asks."""
