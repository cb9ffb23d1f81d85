"""One response that is made in the background, from the store to its end there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from infergate.api.dialects.responses import answer
from infergate.api.dialects.responses.translations import Responses as Translation
from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused
from infergate.api.responses.around import ResponsesAround
from infergate.api.responses.ask import BackgroundSend, EventsTooLarge, asked_until_room
from infergate.api.responses.wanted import again
from infergate.api.threads import to_its_end
from infergate.backoff import Backoff
from infergate.errors import InfergateError
from infergate.log import log
from infergate.store.responses import StoredResponse, begin_response, end_response


class _Over(Exception):
    """It was cancelled, or deleted, before it began."""


class BackgroundRun:
    """streams: whether its events can be followed. is_ending: its end is being written down."""

    def __init__(self, stored: StoredResponse, translation: Translation | None) -> None:
        """translation: None for one that is taken up again."""
        self._stored, self._translation = stored, translation
        self.streams = translation is not None and translation.streamed
        self.is_ending = False
        self._events: list[bytes] = []
        self._begun = self._over = False
        self._changed = asyncio.Event()
        if translation is not None and translation.streamed:
            self._tell(translation.stream.queued(stored.document))

    async def events(self, after: int) -> AsyncIterator[bytes]:
        """Those that come after the one of this number (-1: all), until it is over."""
        at = after + 1
        while True:
            changed = self._changed
            while at < len(self._events):
                yield self._events[at]
                at += 1
            if self._over:
                return
            await changed.wait()

    async def go_on(self, around: ResponsesAround) -> None:
        """To its end. Cancelled, it goes on from the store at another time, or has ended there.
        Raises StateError where it cannot begin."""
        with contextlib.suppress(_Over):
            await self._end(around, await self._outcome(around))

    def over(self) -> None:
        """No more events come."""
        self._over = True
        self._tell(b"")

    async def _outcome(self, around: ResponsesAround) -> Body:
        stored, most = self._stored, around.settings().max_bytes

        async def begin() -> None:
            if not self._begun:
                self._begun = await to_its_end(begin_response, around.database, stored.id)
                if not self._begun:
                    raise _Over

        try:
            if self._translation is None:
                self._translation = await again(around, stored)
            asked = BackgroundSend(self._translation, self._tell, most)
            return await asked_until_room(around, stored, asked, begin)
        except Refused as refused:
            return answer.failed(stored.document, refused.status, refused.error)
        except EventsTooLarge:
            return _too_large(stored, most)

    async def _end(self, around: ResponsesAround, document: Body) -> None:
        """Written down before it is told; where the store fails now, later."""
        self.is_ending = True
        stored, most = self._stored, around.settings().max_bytes
        if replace(stored, document=document, asked=None).bytes > most:
            document = _too_large(stored, most)
        last, events = b"", None
        if self.streams and self._translation is not None:
            last = self._translation.stream.last(document)
            events = b"".join((*self._events, last)).decode()
            if replace(stored, document=document, asked=None, events=events).bytes > most:
                events = None
        backoff, began = Backoff(), time.monotonic()
        while True:
            try:
                ended = await to_its_end(end_response, around.database, stored.id, document, events)
                break
            except InfergateError as problem:
                delay_s = backoff.after(time.monotonic() - began)
                log.error("a response was not kept yet", response=stored.id, problem=str(problem))
                await asyncio.sleep(delay_s)
        if ended:
            self._tell(last)

    def _tell(self, data: bytes) -> None:
        """data: whole events, in which an empty line is an end (dialects/wire.py)."""
        self._events += [each + b"\n\n" for each in data.split(b"\n\n")[:-1]]
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _too_large(stored: StoredResponse, most: int) -> Body:
    message = f"The answer is larger than the {most} bytes that are kept."
    return answer.failed(stored.document, 500, {"message": message})
