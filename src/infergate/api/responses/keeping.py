"""An answer is kept before its client has it whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import Message, Send

from infergate.api import answering
from infergate.api.dialects.responses.translations import Responses as Translation
from infergate.api.dialects.translation import Body


class KeepingSend:
    """ASGI's `send`, of one answer. keep: gives back what the client is told."""

    def __init__(
        self, translation: Translation, send: Send, keep: Callable[[Body], Awaitable[Body]]
    ) -> None:
        self._translation, self._send, self._keep = translation, send, keep
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        whole = self._translation.whole
        if whole is None:  # an error, or the stream goes on
            await self._send(message)
        elif self._translation.stream.whole is not None:
            if not message.get("more_body", False):
                told = await self._keep(whole)
                await answering.part(self._send, self._translation.stream.last(told))
            await self._send(message)
        elif message["type"] == "http.response.start":
            self._start = message
        else:
            assert self._start is not None  # noqa: S101 - ASGI's order
            start, told = self._start, await self._keep(whole)
            await answering.answer_json(self._send, start["status"], told, start["headers"])
