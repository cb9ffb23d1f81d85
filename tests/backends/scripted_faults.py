"""What the scripted backend is to do wrong, and how often.

A fault is JSON, such as `{"path_prefix": "/v1/chat", "status": 503, "times": 2}`; `Fault` has all
its fields. Several can be set: the first that fits a request and is not used up is taken.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, fields

# Where each engine is asked whether it lives; see infergate.health.engines.
_HEALTH_PATHS = {"ollama": ("/", "/api/version"), "openai": ("/v1/models",)}


@dataclass
class Fault:
    """One fault.

    path_prefix, times: which requests, and how many of them; times None means all.
    delay_s: before the headers; first_byte_delay_s: after the headers, before the body;
        chunk_delay_s: after each chunk of a stream.
    chunks: pieces of text in a stream.
    status, headers, body: instead of the true answer; headers alone are added to it.
    raw: written as it is instead of HTTP, then the connection is closed.
    die: reset the connection "before_headers", "after_headers" or "mid_stream".
    hang: the same places, and silence there; true means before_headers.
    hold: silence until all faults are ended, at the same places; true means before_headers.
    after_chunks: where "mid_stream" is.
    """

    path_prefix: str = "/"
    times: int | None = None
    delay_s: float = 0
    first_byte_delay_s: float = 0
    chunk_delay_s: float = 0
    chunks: int = 5
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    raw: str | None = None
    die: str | None = None
    hang: str | bool | None = None
    hold: str | bool | None = None
    after_chunks: int = 2

    def __post_init__(self) -> None:
        if self.hang is True:
            self.hang = "before_headers"
        if self.hold is True:
            self.hold = "before_headers"
        for place in (self.die, self.hang, self.hold):
            if place not in (None, False, "before_headers", "after_headers", "mid_stream"):
                raise ValueError(f"there is no place {place!r} in an answer")

    @property
    def is_plain(self) -> bool:
        """Whether an answer that is no stream may go out in one piece."""
        return not (self.first_byte_delay_s or self.chunk_delay_s or self.die or self.hang)


_FIELDS = {each.name for each in fields(Fault)}
_NONE = Fault()
_HEALTH = {"ok": None, "fail": Fault(status=503), "hang": Fault(hang=True)}


class Faults:
    """The faults active. `health` is "ok", "fail" or "hang" until it is set again."""

    def __init__(self, engine: str) -> None:
        self._health_paths = _HEALTH_PATHS.get(engine, ("/health",))
        self._health: Fault | None = None
        self._active: list[Fault] = []
        self._ended = asyncio.Event()

    def set(self, given: dict) -> None:
        """Add what JSON describes; nothing in it ends all. ValueError if a field is not known."""
        if not given:
            self._active, self._health = [], None
            self._ended.set()
            self._ended = asyncio.Event()
            return
        given = dict(given)
        health = given.pop("health", None)
        if health is not None and health not in _HEALTH:
            raise ValueError(f"health is ok, fail or hang, not {health!r}")
        if unknown := given.keys() - _FIELDS:
            raise ValueError(f"a fault has no field {sorted(unknown)}")
        if given:
            self._active = [*self._active, Fault(**given)]
        if health is not None:
            self._health = _HEALTH[health]

    async def held(self) -> None:
        """Until all faults are ended."""
        await self._ended.wait()

    def take(self, method: str, path: str) -> Fault:
        """The fault that this request gets; one without any effect if none is meant for it."""
        if self._health and method == "GET" and path in self._health_paths:
            return self._health
        for fault in self._active:
            if path.startswith(fault.path_prefix) and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return _NONE
