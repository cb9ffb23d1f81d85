"""The named locations that requests are relayed through.

nginx has no variable for a timeout, so each pair of timeouts that the configuration uses gets a
location of its own, and njs chooses one by its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from infergate.config.backends import Backend
from infergate.config.models import Timeouts
from infergate.config.root import Config


@dataclass(frozen=True, order=True)
class Relay:
    """One named location. read_ms bounds both the first byte and the time between two pieces:
    nginx has one directive for the two."""

    connect_ms: int
    read_ms: int
    https: bool
    verify_tls: bool

    @property
    def name(self) -> str:
        suffix = "" if not self.https else "_https" if self.verify_tls else "_https_unverified"
        return f"@relay_{self.connect_ms}_{self.read_ms}{suffix}"


def relay_for(backend: Backend, timeouts: Timeouts) -> Relay:
    """The location through which a model with these timeouts reaches this backend."""
    return Relay(
        connect_ms=round(timeouts.connect * 1000),
        read_ms=round(max(timeouts.first_byte, timeouts.idle) * 1000),
        https=backend.scheme == "https",
        verify_tls=backend.verify_tls,
    )


def relays_of(config: Config) -> tuple[Relay, ...]:
    """Every location the configuration can need; models that are discovered use the defaults."""
    found = {relay_for(backend, Timeouts()) for backend in config.backends.values()}
    for model in config.models.values():
        for name in model.backends:
            found.add(relay_for(config.backends[name], model.timeouts))
    return tuple(sorted(found))
