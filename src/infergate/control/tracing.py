"""Sends traces, as `tracing` says: made of the access log, off the request path and beside the
ledger. What cannot be sent now is read again later (ledger/follower.py)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from infergate.config.load import LoadedConfig
from infergate.config.tracing import Tracing
from infergate.control.again import Again
from infergate.ledger.follower import Follower
from infergate.ledger.ledger import node_of
from infergate.paths import Home
from infergate.traces.spans import Span, is_kept, spans_of
from infergate.worker_files import entry_in

if TYPE_CHECKING:
    from infergate.traces.otlp import Receiver

INTERVAL_S = 0.5
_LONGEST_WAIT_S = 30.0
_MOST_AT_ONCE = 512
"""Spans in a message; the OpenTelemetry SDK's own."""


class Traces:
    """As long as `run` runs."""

    def __init__(self, home: Home, loaded: Callable[[], LoadedConfig]) -> None:
        self._home, self._loaded = home, loaded
        self._settings: Tracing | None = None
        self._follower: Follower | None = None
        self._receiver: Receiver | None = None
        self._again = Again("traces cannot be sent", INTERVAL_S, _LONGEST_WAIT_S)
        self._about = {
            "service.name": "infergate",
            "service.version": version("infergate"),
            "service.instance.id": node_of(home),
        }

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._again.run(self._once, self._end)  # ended: it reads the headers anew
        finally:
            self._end()

    def _once(self) -> None:
        loaded = self._loaded()
        settings = loaded.config.tracing
        if settings != self._settings:
            self._end()
        if settings is None:
            return
        if self._settings is None:
            self._begin(settings, loaded)
        follower, receiver = self._follower, self._receiver
        if follower is None or receiver is None:
            return
        for portion in follower.portions():
            spans = _spans(portion.data.decode("utf-8", "replace"), settings)
            while some := list(itertools.islice(spans, _MOST_AT_ONCE)):
                self._send(receiver, some)
            follower.done(portion)

    def _send(self, receiver: Receiver, spans: list[Span]) -> None:
        from infergate.traces.otlp import SpansRefused

        try:
            receiver.send(spans, self._about)
        except SpansRefused as problem:
            self._again.tell(problem)

    def _begin(self, settings: Tracing, loaded: LoadedConfig) -> None:
        from infergate.traces.otlp import Receiver, headers_in  # protobuf takes long to load

        folder = loaded.path.parent
        headers = headers_in(folder / settings.headers_file) if settings.headers_file else {}
        ca_file = str(folder / settings.ca_file) if settings.ca_file else None
        self._receiver = Receiver(settings.endpoint, headers, ca_file)
        self._follower = Follower(self._home.access_log, self._home.handed_on("traces"))
        self._settings = settings

    def _end(self) -> None:
        follower, receiver = self._follower, self._receiver
        self._follower = self._receiver = self._settings = None
        if follower is not None:
            follower.close()
        if receiver is not None:
            receiver.close()


def _spans(text: str, settings: Tracing) -> Iterator[Span]:
    for line in text.split("\n"):
        entry = entry_in(line) if line else None
        if entry is None or "trace_id" not in entry:
            continue
        try:
            if is_kept(entry, settings):
                yield from spans_of(entry)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            continue  # of another version, or no line
