"""The caller of a gateway's batches: asks nginx, as the key that made the batch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from infergate.api.batches.calls import BatchAnswer, BatchUnanswered, Stopped
from infergate.api.caller import Caller
from infergate.api.connection import Answer, NobodyThere, Unanswered
from infergate.api.depth import DEEPEST, is_too_deep
from infergate.api.grant import KeyGrant
from infergate.api.inner import Inner, TooLarge, whole
from infergate.contract.tier import Handed
from infergate.errors import StateError

_TOKEN_OVER = "request_over"  # noqa: S105 - a code of njs/refusal.js
_EXPIRED = "expired_api_key"
_GONE = Stopped(
    "invalid_api_key",
    "The batch was stopped: the API key that made it was revoked, or is not there any more.",
)
_LONGEST_TEXT = 1000


class KeyCaller:
    """One batch's. largest: bytes of an answer."""

    def __init__(
        self, inner: Inner, grant: KeyGrant, client: str, largest: Callable[[], int]
    ) -> None:
        self._inner, self._grant, self._client = inner, grant, client
        self._largest = largest

    async def call(self, path: str, body: Mapping[str, Any]) -> BatchAnswer:
        """See calls.Caller."""
        sent, refused = json.dumps(body).encode(), None
        for _ in range(2):
            try:
                token = await self._grant.token(refused)
            except StateError as problem:
                return _no_room(str(problem))
            if token is None:
                raise _GONE
            answer = await self._asked(token, path, sent)
            code = answer.error.get("code") if answer.status == 401 else None
            if code == _EXPIRED:
                raise Stopped(_EXPIRED, f"The batch was stopped: {answer.error.get('message')}")
            if code != _TOKEN_OVER:
                return answer
            refused = token
        raise _GONE

    async def end(self) -> None:
        """See calls.Caller."""
        await self._grant.end()

    async def _asked(self, token: str, path: str, sent: bytes) -> BatchAnswer:
        caller = Caller(token, "", self._client, Handed.ENDPOINT)
        try:
            async with self._inner.ask(caller, "POST", path, sent) as answer:
                body = await whole(answer, self._largest())
                return _answer(answer, body)
        except NobodyThere:
            return _no_room("nginx is not there")
        except TooLarge:
            message = f"The answer is larger than the {self._largest()} bytes that are kept."
            return BatchAnswer(507, {"error": {"message": message, "code": "answer_too_large"}})
        except Unanswered as problem:
            raise BatchUnanswered(f"{type(problem).__name__}: {problem}"[:_LONGEST_TEXT]) from None


def _answer(answer: Answer, body: bytes) -> BatchAnswer:
    """Raises BatchUnanswered where a good answer is no JSON; a bad one may be anything."""
    try:
        # What is no JSON though Python reads it so would be none in the file either.
        found = json.loads(body, parse_constant=lambda _: None, parse_float=_finite)
        wrong = f"nested deeper than {DEEPEST} levels" if is_too_deep(body, found) else ""
    except (ValueError, RecursionError):
        found, wrong = None, "no JSON"
    if wrong:
        if 200 <= answer.status < 300:
            raise BatchUnanswered(f"The answer is {wrong}.")
        found = {"error": {"message": body[:_LONGEST_TEXT].decode("utf-8", "replace")}}
    after = answer.header(b"retry-after")
    return BatchAnswer(
        answer.status,
        found,
        answer.header(b"x-request-id"),
        float(after[:6]) if after.isascii() and after.isdigit() else None,
    )


def _finite(text: str) -> float | None:
    return found if math.isfinite(found := float(text)) else None


def _no_room(problem: str) -> BatchAnswer:
    """Nothing of the line's was tried: it waits."""
    return BatchAnswer(503, {"error": {"message": problem, "code": "gateway_unavailable"}})
