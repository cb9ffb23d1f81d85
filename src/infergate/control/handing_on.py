"""Hands the access log on to other programs, as `log` says: off the request path, from the files
that nginx wrote (docs/decisions/028-logs-and-traces-for-others.md)."""

from __future__ import annotations

import time
from collections.abc import Callable

from infergate.config.log import WRITTEN_BY_NGINX, Log
from infergate.config.root import Config
from infergate.control.again import Again
from infergate.ledger.ecs import as_ecs
from infergate.ledger.follower import Follower
from infergate.ledger.rotate import remove_old_copies, rotate
from infergate.ledger.sinks import Sink, to_file, to_stdout, to_syslog
from infergate.paths import Home
from infergate.shown import shown

INTERVAL_S = 0.25
_TIDIED_EVERY_S = 10.0
_LONGEST_WAIT_S = 5.0


class HandingOn:
    """As long as `run` runs."""

    def __init__(self, home: Home, config: Callable[[], Config]) -> None:
        self._home, self._config = home, config
        self._settings: Log | None = None
        self._follower: Follower | None = None
        self._sink: Sink | None = None
        self._tidied = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        complaint = "the log cannot be handed on; it is later"
        try:
            await Again(complaint, INTERVAL_S, _LONGEST_WAIT_S).run(self._once, lambda: None)
        finally:
            self._end()

    def _once(self) -> None:
        settings = self._config().log
        if settings != self._settings:
            self._end()
            self._begin(settings)
        follower, sink = self._follower, self._sink
        if follower is not None and sink is not None:
            for portion in follower.portions():
                sink(_as(settings, portion.data.decode("utf-8", "replace").split("\n")))
                follower.done(portion)
        if time.monotonic() - self._tidied > _TIDIED_EVERY_S:
            self._tidied = time.monotonic()
            self._tidy(settings)

    def _begin(self, settings: Log) -> None:
        home = self._home
        if settings.to == "stdout":
            self._sink = to_stdout()
        elif settings.to == "syslog":
            self._sink = to_syslog(settings.syslog)
        elif settings.format == "ecs":
            self._sink = to_file(home.own_log("ecs"))
        if self._sink is not None:
            by_nginx = settings.format in WRITTEN_BY_NGINX
            path = home.own_log(settings.format) if by_nginx else home.access_log
            name = f"{settings.format}-{settings.to}"
            self._follower = Follower(path, home.handed_on(name))
        self._settings = settings

    def _end(self) -> None:
        follower = self._follower
        self._follower = self._sink = self._settings = None
        if follower is not None:
            follower.close()

    def _tidy(self, settings: Log) -> None:
        usage = self._config().usage
        for each in (*WRITTEN_BY_NGINX, "ecs"):
            path = self._home.own_log(each)
            if each == settings.format:
                rotate(self._home, usage.rotate, path)
            remove_old_copies(path, usage.keep.logs, time.time())


def _as(settings: Log, lines: list[str]) -> list[str]:
    """A terminal or a program that ends lines at more than a line feed may be at the other end."""
    if settings.format != "ecs":
        return [shown(each) for each in lines if each]
    return [each for each in map(as_ecs, lines) if each is not None]
