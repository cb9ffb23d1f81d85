"""Shadow traffic: copies of requests, sent to a second backend, their answers thrown away.

njs leaves the copies in shared memory (njs/shadow.js), at most 64 of them; this sends them. A
backend that is slow or dead costs copies, never a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from infergate.config.backends import Backend
from infergate.config.root import Config
from infergate.errors import InfergateError
from infergate.live.shared_memory import take_shadow_copies
from infergate.log import log
from infergate.paths import Home

INTERVAL_S = 0.1
"""Between two looks for copies; with 64 at a time, 640 a second."""

AT_ONCE = 32
"""Copies under way; further ones are dropped, because a shadow must not pile up."""

TIMEOUT_S = 600.0


class ShadowLoop:
    """Sends the copies of every model that has a shadow, as long as `run` runs."""

    def __init__(self, home: Home, config: Callable[[], Config]) -> None:
        self._home, self._config = home, config
        self._sending: set[asyncio.Task[None]] = set()
        self._dropped = 0

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await asyncio.sleep(INTERVAL_S)
                config = self._config()
                if not any(model.shadow for model in config.models.values()):
                    continue
                try:
                    copies = await asyncio.to_thread(take_shadow_copies, self._home.socket)
                except InfergateError:
                    continue  # nginx is being restarted
                for name, path, body in copies:
                    self._send(config.backends.get(name), path, body)
        finally:
            for task in self._sending:
                task.cancel()

    def _send(self, backend: Backend | None, path: str, body: str) -> None:
        if backend is None:
            return
        if len(self._sending) >= AT_ONCE:
            self._dropped += 1
            if self._dropped % 1000 == 1:
                log.warning(
                    "the shadow backend is too slow; copies are dropped", so_far=self._dropped
                )
            return
        task = asyncio.create_task(_ask(backend, path, body))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


async def _ask(backend: Backend, path: str, body: str) -> None:
    headers: dict[str, Any] = {"Content-Type": "application/json"}
    headers |= backend.sent_headers
    url = backend.root_url + path
    try:
        async with (
            httpx.AsyncClient(verify=backend.checks_certificate, trust_env=False) as client,
            client.stream(
                "POST", url, content=body.encode(), headers=headers, timeout=TIMEOUT_S
            ) as answer,
        ):
            async for _ in answer.aiter_raw():
                pass
    except httpx.HTTPError as problem:
        log.info("a shadow request failed", url=url, problem=str(problem) or type(problem).__name__)
