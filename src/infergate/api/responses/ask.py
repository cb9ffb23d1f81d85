"""Asks for a response in the background, in the name of its key, as long as there is no room."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.types import Message

from infergate.api.batches.calls import BatchAnswer, BatchVerdict, verdict_on
from infergate.api.caller import Caller
from infergate.api.dialects.responses import answer
from infergate.api.dialects.responses.translations import Responses as Translation
from infergate.api.dialects.translation import EVENT_STREAM, Body
from infergate.api.responses.around import ResponsesAround, TokenGrant
from infergate.api.translate import asked
from infergate.contract.tier import Handed
from infergate.errors import StateError
from infergate.store.responses import StoredResponse

PATH = "/v1/responses"

_WAITS_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Before it is asked again; the last of them from then on."""
_TOKEN_OVER = "request_over"  # noqa: S105 - a code of njs/refusal.js
_KEY_GONE = BatchAnswer(
    401, {"error": {"message": "The API key that asked for it is not valid any more."}}
)


class EventsTooLarge(Exception):
    """Its events are more than is kept."""


class BackgroundSend:
    """ASGI's `send`, of one that nobody waits for."""

    def __init__(
        self, translation: Translation, tell: Callable[[bytes], None], most_bytes: int
    ) -> None:
        """tell: takes the events of a stream as they come."""
        self.translation, self._tell, self._left = translation, tell, most_bytes
        self._begin({"status": 0, "headers": ()})

    async def __call__(self, message: Message) -> None:
        """Raises EventsTooLarge."""
        if message["type"] == "http.response.start":
            self._begin(message)
            return
        data = message.get("body", b"")
        if self._streams:
            self._left -= len(data)
            if self._left < 0:
                raise EventsTooLarge
            self._tell(data)
        elif self.translation.whole is None:
            self._body += data

    def _begin(self, start: Mapping[str, Any]) -> None:
        headers = dict(start["headers"])
        self._status, self._body = start["status"], b""
        self._streams = headers.get(b"content-type") == EVENT_STREAM.encode()
        after = headers.get(b"retry-after", b"").decode("latin-1")[:6]
        self._after_s = float(after) if after.isascii() and after.isdigit() else None

    def error(self) -> BatchAnswer:
        """Where there is no response."""
        return BatchAnswer(self._status, json.loads(self._body), retry_after_s=self._after_s)


async def asked_until_room(
    around: ResponsesAround,
    of: StoredResponse,
    send: BackgroundSend,
    begin: Callable[[], Awaitable[None]],
) -> Body:
    """The response when it is over, well or not. begin: is done in each of its turns, and may raise
    anything. Raises EventsTooLarge."""
    grant = around.grant(of)
    until = time.monotonic() + around.settings().patience
    tried = 0
    try:
        while True:
            async with around.turns.turn(of.owner):
                await begin()
                error = await _asked(around, of, grant, send)
            if error is None:
                assert send.translation.whole is not None  # noqa: S101 - then there is one
                return send.translation.whole
            delay_s = error.retry_after_s or _WAITS_S[min(tried, len(_WAITS_S) - 1)]
            waits = verdict_on(error) is BatchVerdict.WAIT
            if not waits or time.monotonic() + delay_s > until:
                return answer.failed(of.document, error.status, error.error)
            tried += 1
            await asyncio.sleep(delay_s)
    finally:
        await grant.end()


async def _asked(
    around: ResponsesAround, of: StoredResponse, grant: TokenGrant, send: BackgroundSend
) -> BatchAnswer | None:
    """None: there is a response. A token that ended with an nginx is asked for once more."""
    refused = None
    for _ in range(2):
        try:
            token = await grant.token(refused)
        except StateError as problem:
            return BatchAnswer(503, {"error": {"message": str(problem)}})
        if token is None:
            return _KEY_GONE
        caller = Caller(token, "", of.client, Handed.DIALECT)
        await asked(around.inner, caller, send.translation, PATH, (), send)
        if send.translation.whole is not None:
            return None
        error = send.error()
        if error.status != 401 or error.error.get("code") != _TOKEN_OVER:
            return error
        refused = token
    return _KEY_GONE
