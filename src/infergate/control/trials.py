"""Trials of backends whose circuit breaker is open: one small request each, so no client is it.

njs opens a breaker (njs/breaker.js) and lets nobody through until a trial went well. A trial asks
what failed: a completion of one token, or one short embedding. It costs next to nothing on a
backend that served this model moments ago, and only it tells a hung engine from a living one: the
health endpoint may go on answering (vLLM issue 39863).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from infergate.config.backends import Backend
from infergate.config.root import Config
from infergate.contract.live import BreakerEntry as At
from infergate.control.live import Live
from infergate.errors import InfergateError
from infergate.live.shared_memory import push
from infergate.log import log
from infergate.paths import Home

TIMEOUT_S = 10.0
"""For one trial. A token takes a busy engine a second or two; a hung one never answers."""

_MESSAGES = [{"role": "user", "content": "hi"}]
_BODIES: Mapping[str, Mapping[str, Any]] = {
    "/v1/chat/completions": {"messages": _MESSAGES, "max_tokens": 1},
    "/v1/completions": {"prompt": "hi", "max_tokens": 1},
    "/v1/responses": {"input": "hi", "max_output_tokens": 16},
    "/v1/messages": {"messages": _MESSAGES, "max_tokens": 1},
    "/v1/embeddings": {"input": "hi"},
    "/v1/rerank": {"query": "hi", "documents": ["hi"]},
    "/v1/score": {"text_1": "hi", "text_2": "hi"},
    "/api/chat": {"messages": _MESSAGES, "stream": False, "options": {"num_predict": 1}},
    "/api/generate": {"prompt": "hi", "stream": False, "options": {"num_predict": 1}},
    "/api/embed": {"input": "hi"},
}
"""The least that can be asked of an endpoint. For any other, a client's request is the trial."""


class Trials:
    """Tries out backends with an open breaker, each on its own, as long as `run` runs."""

    def __init__(self, home: Home, live: Live, config: Callable[[], Config]) -> None:
        self._home, self._live, self._config = home, live, config
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                state = await self._live.next()
                self._running = {n: t for n, t in self._running.items() if not t.done()}
                for name, entry in state.breakers.items() if state else ():
                    if name not in self._running and _is_due(entry, time.time() * 1000):
                        self._running[name] = asyncio.create_task(self._try(name, entry))
        finally:
            for task in self._running.values():
                task.cancel()

    async def _try(self, name: str, entry: tuple[Any, ...]) -> None:
        config = self._config()
        backend, body = config.backends.get(name), _BODIES.get(entry[At.ENDPOINT])
        if backend is None or body is None:
            return
        model = config.models.get(entry[At.MODEL])
        upstream_name = (model.name_at(name) if model else None) or entry[At.MODEL]
        # While this runs, clients are kept away; without it, one of them would soon be the trial.
        await self._push(name, {"set": {name: _until(entry, TIMEOUT_S + 1)}})
        went_well = await _answers(backend, entry[At.ENDPOINT], {**body, "model": upstream_name})
        log.info("trial of a backend whose breaker is open", backend=name, ok=went_well)
        if went_well:
            document: dict[str, Any] = {"delete": [name]}
        else:
            cooldown_s = min(entry[At.COOLDOWN] / 1000 * 2, config.breaker.max_cooldown)
            failed = (*entry[At.COOLDOWN + 1 : At.SILENT], 0, *entry[At.SILENT + 1 :])
            longer = (*entry[: At.COOLDOWN], cooldown_s * 1000, *failed)
            document = {"set": {name: _until(longer, cooldown_s)}}
        await self._push(name, document)

    async def _push(self, name: str, document: Mapping[str, Any]) -> None:
        try:
            await asyncio.to_thread(push, self._home.socket, {"breakers": document})
        except InfergateError as problem:
            log.warning("a trial could not be noted", backend=name, problem=str(problem))


def _is_due(entry: tuple[Any, ...], now_ms: float) -> bool:
    """At the end of its cool-down; at once where it opened because one answer did not come."""
    silent = len(entry) > At.SILENT and entry[At.SILENT] == 1
    return bool(entry[At.UNTIL] > 0 and (silent or entry[At.UNTIL] <= now_ms))


def _until(entry: tuple[Any, ...], seconds: float) -> str:
    """The entry, open for so long from now."""
    return json.dumps(
        [*entry[: At.UNTIL], time.time() * 1000 + seconds * 1000, *entry[At.COOLDOWN :]]
    )


async def _answers(backend: Backend, endpoint: str, body: Mapping[str, Any]) -> bool:
    try:
        async with httpx.AsyncClient(verify=backend.checks_certificate, trust_env=False) as client:
            answer = await client.post(
                backend.root_url + endpoint,
                json=body,
                headers=backend.sent_headers,
                timeout=TIMEOUT_S,
            )
    except httpx.HTTPError:
        return False
    return answer.status_code < 500
