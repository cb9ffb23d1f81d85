"""Backends: which there are, and what operators do with them while the gateway runs."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field, WithJsonSchema

from infergate.admin.backend_entry import BackendChange, BackendEntry, BackendGroup
from infergate.admin.gateway import Gateway
from infergate.admin.operation import AfterName, Document, Limit, Request, Which, operation
from infergate.admin.pages import page_of
from infergate.config.backends import EngineKind
from infergate.config.types import ModelName
from infergate.errors import StateError
from infergate.live.shared_memory import read
from infergate.operate import backends
from infergate.operate.backend_list import backend_list

Share = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1000})]
Slots = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 100_000})]
Engine = Annotated[str, WithJsonSchema({"type": "string", "enum": list(get_args(EngineKind))})]
BackendName = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"})
]
"""These are checked where they are used, in the command line's words (operate/backends.py)."""


class NamedBackend(BackendEntry):
    """The same with its name."""

    name: str


class BackendPage(Document):
    """Backends by name; `removed` and `groups` are on every page."""

    items: list[NamedBackend]
    next: str | None
    removed: list[BackendChange] = Field(description="Those that operators took out.")
    groups: dict[str, BackendGroup]


class Drained(Document):
    """Whether a backend gets no new requests."""

    name: str
    drained: bool


class Weight(Request):
    """A backend's share of the requests, relative to the others."""

    weight: Share


class Weighed(Document):
    """What a backend's share was and is."""

    backend: str
    weight: int
    before: int
    of_file: dict[str, Any] | None = Field(description="What the configuration says.")


class NewBackend(Request):
    """A backend to put into service."""

    url: str = Field(json_schema_extra={"format": "base-url"}, description="Its base URL.")
    engine: Engine | None = Field(None, description="What runs there; else it is asked.")
    models: list[ModelName] | None = Field(None, description="What it has; else it is asked.")
    weight: Share | None = Field(None, description="Its share of the requests.")
    max_in_flight: Slots | None = Field(None, description="Requests at once, at most.")


class BackendAdded(Document):
    """A backend that was put into service, with its settings."""

    backend: str
    url: str
    weight: int


class RemovedBackend(Document):
    """A backend that was taken out."""

    backend: str
    until_reset: bool = Field(description="The configuration has it; a reset brings it back.")
    in_flight: int = Field(description="Requests that it still answers.")


class InFlight(Document):
    """Requests that are being answered now, by backend; of those that were taken out, too."""

    backends: dict[str, int]


class ResetBackend(Document):
    """What of a backend is again as the configuration says."""

    backend: str
    undone: list[str]


@operation("GET", "/backends")
def list_backends(gateway: Gateway, *, after: AfterName = "", limit: Limit = 100) -> BackendPage:
    """The active backends, their weights, and who says that they are there."""
    found = backend_list(gateway.applied, gateway.home)
    named = [NamedBackend(name=name, **each) for name, each in found["backends"].items()]
    items, following = page_of(named, lambda backend: backend.name, after, limit)
    return BackendPage(
        items=items, next=following, removed=found["removed"], groups=found["groups"]
    )


@operation("POST", "/backends/{backend}/drain")
def drain_backend(gateway: Gateway, backend: Which) -> Drained:
    """No new requests for it; those it has go on."""
    backends.drain(_control(gateway), backend)
    return Drained(name=backend, drained=True)


@operation("POST", "/backends/{backend}/undrain")
def undrain_backend(gateway: Gateway, backend: Which) -> Drained:
    """Take it back into service."""
    backends.undrain(_control(gateway), backend)
    return Drained(name=backend, drained=False)


@operation("PUT", "/backends/{backend}/weight")
def weigh_backend(gateway: Gateway, backend: Which, body: Weight) -> Weighed:
    """Give it another share of the requests, until the configuration says something new."""
    return Weighed(**backends.set_weight(_control(gateway), backend, body.weight))


@operation("POST", "/backends/{backend}")
def add_backend(gateway: Gateway, backend: BackendName, body: NewBackend) -> BackendAdded:
    """Put a new one into service; it serves every model it has that the gateway serves."""
    return BackendAdded(**backends.add(_control(gateway), backend, body.model_dump()))


@operation("DELETE", "/backends/{backend}")
def remove_backend(gateway: Gateway, backend: Which) -> RemovedBackend:
    """Take it out permanently; what it is answering goes on."""
    done = backends.remove(_control(gateway), backend)
    return RemovedBackend(**done, in_flight=backends.in_flight(gateway.home, backend))


@operation("POST", "/backends/{backend}/reset")
def reset_backend(gateway: Gateway, backend: Which) -> ResetBackend:
    """Undo what was changed of it by hand: it is again what the configuration says."""
    undone = backends.make_as_declared(_control(gateway), backend)
    return ResetBackend(backend=backend, undone=list(undone))


@operation("GET", "/in-flight")
def in_flight(gateway: Gateway) -> InFlight:
    """How many requests each backend answers, to wait for one that was drained or taken out."""
    try:
        return InFlight(backends=dict(read(gateway.home.socket).in_flight))
    except StateError:  # nginx does not run
        return InFlight(backends={})


def _control(gateway: Gateway) -> backends.GatewayParts:
    return backends.GatewayParts(gateway.applied, gateway.home, gateway.database)
