"""The named locations that requests are relayed through: a ladder of timeouts.

nginx has no variable for a timeout, so each set of timeouts that the configuration uses gets a
location of its own, and njs chooses one by its name (njs/first_byte.js). Where a request may get
more than the least, there are further rungs above it.

nginx has one directive for the first byte and for the pauses after it. Where the two differ, the
location leads through a server of our own that watches the shorter one (attempts.conf.j2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from infergate.contract.numbers import RUNG_FACTOR

if TYPE_CHECKING:  # the supervisor reads sizes of zones, and needs no configuration for that
    from infergate.config.backends import Backend
    from infergate.config.models import Model, Timeouts
    from infergate.config.policies import Retries
    from infergate.config.root import Config

SHORTEST_PAUSE_MS = 60_000
"""A pause that every answer may make, where `idle` does not say."""

SLOWEST_MS = 200
"""For a token of a model that was not measured yet: slower than anybody waits for."""

HELD_FROM_BYTES = 8_192
"""Of a streamed request whose answer's head waits for the first token (`retries.until: auto`):
2,000 tokens, which a large GPU reads in a quarter of a second."""

SHORT_PROMPT_BYTES = 65_536
"""Of a body whose prompt is read within the least time: 16,000 tokens, half a minute on a small
GPU."""


@dataclass(frozen=True, order=True)
class Relay:
    """One named location. idle_ms: None where a pause may last as long as the first byte may take,
    and a minute in any case."""

    connect_ms: int
    first_ms: int
    idle_ms: int | None
    https: bool
    verify_tls: bool

    @property
    def pause_ms(self) -> int:
        """How long a pause between two pieces may be."""
        return max(self.first_ms, SHORTEST_PAUSE_MS) if self.idle_ms is None else self.idle_ms

    @property
    def read_ms(self) -> int:
        """nginx's own timeout, for both: the longer one."""
        return max(self.first_ms, self.pause_ms)

    @property
    def is_watched(self) -> bool:
        """Whether one of the two is shorter than nginx's."""
        return self.first_ms != self.pause_ms

    @property
    def watched_ms(self) -> tuple[int, int]:
        """The first byte's and a pause's time, where it is watched; else 0."""
        return (
            self.first_ms if self.first_ms < self.read_ms else 0,
            self.pause_ms if self.pause_ms < self.read_ms else 0,
        )

    @property
    def awaited_ms(self) -> int:
        """The timeout of who waits for a watched attempt, which ends first."""
        return self.connect_ms + self.read_ms + 10_000

    @property
    def suffix(self) -> str:
        """The end of its name, by how the backend is reached."""
        return "" if not self.https else "_https" if self.verify_tls else "_https_unverified"

    @property
    def name(self) -> str:
        """njs/first_byte.js takes it apart: RELAY_FIRST, RELAY_PARTS of contract/numbers.py."""
        idle = "any" if self.idle_ms is None else self.idle_ms
        return f"@relay_{self.connect_ms}_{self.first_ms}_{idle}{self.suffix}"


def relay_for(backend: Backend, timeouts: Timeouts) -> Relay:
    """The lowest location through which a request with these timeouts reaches this backend."""
    return relay_with(timeouts, https=backend.scheme == "https", verify_tls=backend.verify_tls)


def relay_with(timeouts: Timeouts, *, https: bool, verify_tls: bool) -> Relay:
    """The same for any backend that is reached so."""
    return Relay(
        connect_ms=_ms(timeouts.connect),
        first_ms=_ms(timeouts.least),
        idle_ms=None if timeouts.idle is None else _ms(timeouts.idle),
        https=https,
        verify_tls=verify_tls,
    )


def rungs(relay: Relay, timeouts: Timeouts) -> Iterator[Relay]:
    """The locations above this one that a request may need, lowest first."""
    first_ms, most_ms = relay.first_ms, _ms(timeouts.maximum)
    while timeouts.dynamic and first_ms < most_ms:
        first_ms = min(first_ms * RUNG_FACTOR, most_ms)
        yield replace(relay, first_ms=first_ms)


def ladder(timeouts: Timeouts) -> list[Any]:
    """What njs/first_byte.js has to know beside the lowest location: whether the time is the
    operator's word, and the most that a request may get, in ms."""
    return [int(timeouts.first_byte is not None), _ms(timeouts.maximum) * timeouts.dynamic]


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
            found.update(rungs(relay, timeouts))
    return tuple(sorted(found, key=lambda each: (each.connect_ms, each.first_ms, each.name)))


def watches(config: Config) -> bool:
    """Whether there is any location whose first byte or pauses are watched."""
    return any(relay.is_watched for relay in relays_of(config))


def held_from(retries: Retries) -> int | None:
    """From how many bytes on a streamed request may go elsewhere until its first token; None:
    it never may."""
    if retries.until == "head" or retries.attempts == 1:
        return None
    return 0 if retries.until == "first_token" else HELD_FROM_BYTES


def holds(config: Config) -> int | None:
    """The least of `held_from` for all models; None where no answer's head is held back: there is
    nowhere else to go."""
    if len(config.backends) < 2 and not any(each.discover for each in config.backends.values()):
        return None
    every = (config.retries, *(each.retries or config.retries for each in config.models.values()))
    return min((each for each in map(held_from, every) if each is not None), default=None)


def hedges(config: Config) -> bool:
    """Whether a second backend may be asked for a request of any model."""
    return any(model.hedge for model in config.models.values())


def awaits(config: Config) -> bool:
    """Whether the first byte, or a pause, of some attempt is waited for by attempts.conf."""
    return watches(config) or holds(config) is not None


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
