"""Backends: which there are, and what operators do with them while the gateway runs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import AfterName, Document, Limit, Request, Which, operation
from infergate.admin.pages import page_of
from infergate.control import backends
from infergate.control.backend_list import backend_list


class BackendChange(Document):
    """What an operator changed of a backend, and what the file said instead."""

    backend: str
    what: str = Field(description="weight, add or remove.")
    value: dict[str, Any]
    instead_of: dict[str, Any] | None
    at: int = Field(description="Unix seconds.")
    who: str


class BackendEntry(Document):
    """A backend that is in force, and who says that it is there."""

    url: str
    engine: str
    weight: int
    max_in_flight: int | None
    origin: str = Field(description='"file", "by hand", or how its group is found.')
    group: str | None
    changes: list[BackendChange]


class NamedBackend(BackendEntry):
    """The same with its name."""

    name: str


class BackendGroup(Document):
    """A group of backends that are discovered."""

    found_by: str
    backends: list[str]
    problem: str | None


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

    weight: int = Field(json_schema_extra={"minimum": 1, "maximum": 1000})


class Weighed(Document):
    """What a backend's share was and is."""

    backend: str
    weight: int
    before: int
    of_file: dict[str, Any] | None = Field(description="What the configuration says.")


class NewBackend(Request):
    """A backend to put into service."""

    url: str = Field(json_schema_extra={"format": "base-url"}, description="Its base URL.")
    engine: str | None = Field(
        None, json_schema_extra={"format": "engine"}, description="What runs there; else asked."
    )
    models: list[str] | None = Field(
        None, json_schema_extra={"format": "models"}, description="What it has; else asked."
    )
    weight: int | None = Field(None, description="Its share of the requests, 1 to 1,000.")
    max_in_flight: int | None = Field(None, description="Requests at once, at most.")


class AddedBackend(Document):
    """A backend that was put into service, with its settings."""

    backend: str
    url: str
    weight: int


class RemovedBackend(Document):
    """A backend that was taken out."""

    backend: str
    until_reset: bool = Field(description="The configuration has it; a reset brings it back.")
    in_flight: int = Field(description="Requests that it still answers.")


class Load(Document):
    """Requests that a backend answers now; of one that was taken out, too."""

    backend: str
    in_flight: int


class ResetBackend(Document):
    """What of a backend is again as the configuration says."""

    backend: str
    undone: list[str]


@operation("GET", "/backends")
def list_backends(gateway: Gateway, *, after: AfterName = "", limit: Limit = 100) -> BackendPage:
    """The backends in force, their weights, and who says that they are there."""
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
def add_backend(gateway: Gateway, backend: Which, body: NewBackend) -> AddedBackend:
    """Put a new one into service; it serves every model it has that the gateway serves."""
    return AddedBackend(**backends.add(_control(gateway), backend, body.model_dump()))


@operation("DELETE", "/backends/{backend}")
def remove_backend(gateway: Gateway, backend: Which) -> RemovedBackend:
    """Take it out for good; what it is answering goes on."""
    done = backends.remove(_control(gateway), backend)
    return RemovedBackend(**done, in_flight=backends.in_flight(gateway.home, backend))


@operation("POST", "/backends/{backend}/reset")
def reset_backend(gateway: Gateway, backend: Which) -> ResetBackend:
    """Undo what was changed of it by hand: it is again what the configuration says."""
    undone = backends.make_as_declared(_control(gateway), backend)
    return ResetBackend(backend=backend, undone=[change.what for change in undone])


@operation("GET", "/backends/{backend}/load")
def backend_load(gateway: Gateway, backend: Which) -> Load:
    """How many requests it is answering, to wait for one that was drained or taken out."""
    return Load(backend=backend, in_flight=backends.in_flight(gateway.home, backend))


def _control(gateway: Gateway) -> backends.Gateway:
    return backends.Gateway(gateway.applied, gateway.home, gateway.database)
