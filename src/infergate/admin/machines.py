"""/healthz and /readyz for machines that ask without a token: one word, and a status."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from starlette.responses import JSONResponse, PlainTextResponse, Response

from infergate.admin.gateway import Gateway
from infergate.admin.readiness import Readiness, readiness

_KEPT_S = 1.0
"""Anybody may ask, and to find out costs 10 ms: not more often than so."""

_JUDGED: Mapping[str, Callable[[Readiness], tuple[bool, str]]] = {
    "/healthz": lambda found: (found.processes.nginx is not None, "ok"),
    "/readyz": lambda found: (found.ready, "ready"),
}
"""Whether nginx runs, and whether each model has a backend; and the word for it."""

PATHS = tuple(_JUDGED)


class Words:
    """What is answered without a token, and not why."""

    def __init__(self) -> None:
        self._known: tuple[float, Readiness] | None = None

    def answer(self, gateway: Gateway, path: str) -> Response:
        """200, or 503 where it is not so."""
        now = time.monotonic()
        if self._known is None or now - self._known[0] > _KEPT_S:
            self._known = now, readiness(gateway)
        good, word = _JUDGED[path](self._known[1])
        return PlainTextResponse(f"{word if good else f'not {word}'}\n", 200 if good else 503)


def told(gateway: Gateway, path: str) -> Response:
    """The same with the reasons, for who has a token."""
    found = readiness(gateway)
    good, _ = _JUDGED[path](found)
    return JSONResponse(found.model_dump(), 200 if good else 503)
