"""Backends: taken out of service, and back in."""

from __future__ import annotations

from infergate.admin.gateway import Gateway
from infergate.admin.operation import Document, Which, operation
from infergate.config.problems import did_you_mean
from infergate.errors import NotThere
from infergate.state.publish import drain


class Drained(Document):
    """Whether a backend gets no new requests."""

    name: str
    drained: bool


@operation("POST", "/backends/{backend}/drain")
def drain_backend(gateway: Gateway, backend: Which) -> Drained:
    """No new requests for it; those it has go on."""
    return _set(gateway, backend, drained=True)


@operation("POST", "/backends/{backend}/undrain")
def undrain_backend(gateway: Gateway, backend: Which) -> Drained:
    """Take it back into service."""
    return _set(gateway, backend, drained=False)


def _set(gateway: Gateway, name: str, *, drained: bool) -> Drained:
    known = gateway.loaded.config.backends
    if name not in known:
        raise NotThere(
            f"there is no backend {name!r}{did_you_mean(name, known)}",
            where=str(gateway.loaded.path),
        )
    drain(gateway.home, gateway.database, name, drained=drained)
    return Drained(name=name, drained=drained)
