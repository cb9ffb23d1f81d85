"""The named locations that requests are relayed through: a ladder of timeouts.

nginx has no variable for a timeout, so each pair of timeouts that the configuration uses gets a
location of its own, and njs chooses one by its name. A model with dynamic timeouts has further
rungs above its own, for answers that take longer than first_byte because they are long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from infergate.config.backends import Backend
from infergate.config.models import Model, Timeouts
from infergate.config.root import Config

RUNG_FACTOR = 4
"""Each rung of dynamic timeouts is this many times the one below."""

LONGEST_MS = 3_600_000
"""The highest rung: an hour."""


@dataclass(frozen=True, order=True)
class Relay:
    """One named location. read_ms bounds both the first byte and the time between two pieces:
    nginx has one directive for the two."""

    connect_ms: int
    read_ms: int
    https: bool
    verify_tls: bool

    @property
    def suffix(self) -> str:
        """The end of its name, by how the backend is reached."""
        return "" if not self.https else "_https" if self.verify_tls else "_https_unverified"

    @property
    def name(self) -> str:
        return f"@relay_{self.connect_ms}_{self.read_ms}{self.suffix}"


def relay_for(backend: Backend, timeouts: Timeouts) -> Relay:
    """The location through which a request with these timeouts reaches this backend."""
    return relay_with(timeouts, https=backend.scheme == "https", verify_tls=backend.verify_tls)


def relay_with(timeouts: Timeouts, *, https: bool, verify_tls: bool) -> Relay:
    """The same for any backend that is reached so."""
    return Relay(
        connect_ms=round(timeouts.connect * 1000),
        read_ms=round(max(timeouts.first_byte, timeouts.idle) * 1000),
        https=https,
        verify_tls=verify_tls,
    )


def rungs(relay: Relay) -> Iterator[Relay]:
    """The locations above this one that a long answer may need, lowest first."""
    read_ms = relay.read_ms
    while read_ms < LONGEST_MS:
        read_ms = min(read_ms * RUNG_FACTOR, LONGEST_MS)
        yield replace(relay, read_ms=read_ms)


def timeouts_of(config: Config, model: Model | None, endpoint: str | None = None) -> Timeouts:
    """What holds for a model at an endpoint: the model's own, the endpoint's, or the general."""
    if model is not None and model.timeouts is not None:
        return model.timeouts
    return config.endpoints.get(endpoint or "", config.timeouts)


def relays_of(config: Config) -> tuple[Relay, ...]:
    """Every location the configuration can need, for discovered models too."""
    found: set[Relay] = set()
    kinds = {(each.scheme, each.verify_tls): each for each in config.backends.values()}
    for timeouts in (
        config.timeouts,
        *config.endpoints.values(),
        *(model.timeouts for model in config.models.values() if model.timeouts is not None),
    ):
        for backend in kinds.values():
            relay = relay_for(backend, timeouts)
            found.add(relay)
            if timeouts.dynamic:
                found.update(rungs(relay))
    return tuple(sorted(found))
