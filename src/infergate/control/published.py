"""What requests go by, brought to nginx's memory as it becomes known: routes, and who is down."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

from infergate.config.load import LoadedConfig
from infergate.config.root import Config
from infergate.control.load import peers_of
from infergate.control.report import read_inventories, write_report
from infergate.errors import InfergateError, Outdated
from infergate.health.inventory import Inventory
from infergate.health.monitor import BackendStatus
from infergate.log import log
from infergate.paths import Home
from infergate.state.conflicts import conflicts
from infergate.state.publish import publish_conditions, publish_routes
from infergate.state.routes import Routes, compile_routes


class Published:
    """Compiles from what is known, and publishes what differs from the last time.

    down: backends that the probes call down or hung.
    peers: backend → those that serve a model with it.
    """

    def __init__(
        self,
        home: Home,
        loaded: Callable[[], LoadedConfig],
        statuses: Callable[[], Sequence[BackendStatus]],
    ) -> None:
        self._home, self._loaded, self._statuses = home, loaded, statuses
        self._inventories: Mapping[str, Inventory] = read_inventories(home.health)
        self._routes = Routes()
        self._compiled_from: tuple[Config, Mapping[str, Inventory]] | None = None
        self._conflicts: tuple[str, ...] = ()
        self._published_down: frozenset[str] | None = None
        self.down: frozenset[str] = frozenset()
        self.peers: dict[str, frozenset[str]] = {}
        self.take_over_asked()

    @property
    def failed(self) -> bool:
        """Whether the last publication did; the next one publishes everything."""
        return self._published_down is None

    def take_over_asked(self) -> None:
        """Know what an apply heard from new backends, before the probes do."""
        self._inventories = {**self._inventories, **read_inventories(self._home.asked)}
        with contextlib.suppress(OSError):  # of a disk that takes nothing: it is read again
            self._home.asked.unlink(missing_ok=True)

    def publish(self, *, everything: bool = False) -> None:
        """Bring nginx's memory, and the report, to what is known now. What fails is logged."""
        loaded, statuses = self._loaded(), self._statuses()
        config = loaded.config
        found = {
            status.name: Inventory(status.kind, status.version, status.models)
            for status in statuses
            if status.kind is not None and (status.models or status.serves)
        }
        # One that is up, and whose list was not read yet, says nothing: what was known of it holds.
        told = {s.name for s in statuses if s.models or (s.discovered and not s.models_problem)}
        self._inventories = {
            name: self._inventories[name] if name in self._inventories.keys() - told else each
            for name, each in {**self._inventories, **found}.items()
            if name in config.backends
        }
        try:
            down = frozenset(s.name for s in statuses if s.state in ("down", "hung"))
            self.down = down
            if everything or down != self._published_down:
                publish_conditions(self._home, down)
                self._published_down = down
            self._publish_routes(loaded, everything=everything)
            self.report()
        except InfergateError as problem:
            if not isinstance(problem, Outdated):  # else the new one is taken over in a moment
                log.error("the state could not be published; trying again", problem=str(problem))
            self._published_down = None
            self._routes, self._compiled_from = Routes(), None

    def _publish_routes(self, loaded: LoadedConfig, *, everything: bool) -> None:
        """With a thousand backends they take half a second to compile, so only if what they come
        from is other than the last time: "slow" for instance is nothing to them."""
        config = loaded.config
        compiled_from = config, self._inventories
        if compiled_from == self._compiled_from and not everything:
            return
        routes = compile_routes(*compiled_from)
        if everything or routes != self._routes:
            publish_routes(self._home, routes, loaded)
            self._routes = routes
            self.peers = peers_of(routes.routes)
        self._conflicts = conflicts(config, self._inventories)
        self._compiled_from = compiled_from

    def report(self) -> None:
        """Write down what is known, for `infergate status`. Raises StateError."""
        urls = {name: each.url for name, each in self._loaded().config.backends.items()}
        write_report(
            self._home.health,
            self._statuses(),
            urls,
            self._inventories,
            self._routes.missing,
            self._conflicts,
        )
