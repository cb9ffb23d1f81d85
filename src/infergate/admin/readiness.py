"""Whether requests can be answered: at least one backend of each model that counts."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import Field

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, operation
from infergate.admin.status import status
from infergate.admin.status_document import Processes, Status
from infergate.nginx.compiled_route import backends_of
from infergate.state_file import read_state

_OUT = frozenset(("down", "hung", "draining"))
"""What njs/ready.js gives no requests; one that nobody has probed yet may be there."""


class ReadyBackend(Document):
    """A backend of a model, and why it gets no requests, if so."""

    name: str
    state: str
    reason: str


class ReadyModel(Document):
    """A model that counts, by `health.ready`."""

    model: str
    ready: bool
    backends: list[ReadyBackend] = Field(description="Empty: no backend is known to have it.")


class Readiness(Document):
    """Whether the gateway can answer, model by model."""

    ready: bool
    processes: Processes
    models: list[ReadyModel] = Field(description="None at all is not ready, either.")


@operation("GET", "/readiness")
def readiness(gateway: Gateway) -> Readiness:
    """Whether every model, or each that `health.ready` names, has a backend that may get requests,
    and why not; what /readyz says in one word."""
    now = status(gateway)
    models = models_ready(gateway, now)
    return Readiness(
        ready=now.running and bool(models) and all(each.ready for each in models),
        processes=now.processes,
        models=models,
    )


def models_ready(gateway: Gateway, now: Status) -> list[ReadyModel]:
    """The models that count, as their backends are now."""
    states = {each.name: each for each in now.backends}
    routes = _routes(gateway)
    models = []
    for model in gateway.applied.config.health.ready or sorted(routes):
        backends = [
            ReadyBackend(name=name, state=states[name].state, reason=states[name].reason)
            if name in states
            else ReadyBackend(name=name, state="unknown", reason="it was not probed yet")
            for name in routes.get(model, ())
        ]
        is_ready = any(each.state not in _OUT for each in backends)
        models.append(ReadyModel(model=model, ready=is_ready, backends=backends))
    return models


def _routes(gateway: Gateway) -> Mapping[str, list[str]]:
    """Models, not their aliases, and the backends that have each."""

    def understood(document: Mapping[str, Mapping[str, Mapping[str, str]]]) -> dict[str, list[str]]:
        return {
            name: backends_of(route)
            for name, route in document["routes"]["set"].items()
            if json.loads(route)[0] == name
        }

    return read_state(gateway.home.routes_snapshot, understood) or {}
