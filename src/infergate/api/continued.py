"""A stream that goes on where its backend broke off: another is asked for the rest of the text."""

from __future__ import annotations

import json

from starlette.types import Scope, Send

from infergate.api import answering
from infergate.api.caller import Caller, passed_back, passed_on
from infergate.api.connection import Answer, Unanswered
from infergate.api.inner import Inner
from infergate.api.reading import object_of
from infergate.api.relaying import relayed, target_of
from infergate.api.so_far import BROKEN_OFF, Broken, SoFar
from infergate.api.sse import EventTooLong, Reader
from infergate.contract.tier import Continuing

_MODEL = b"x-infergate-model"
_OF_ITS_LENGTH = b"content-length"


class Continued:
    """One request for a stream."""

    def __init__(self, inner: Inner, caller: Caller, scope: Scope, body: bytes, send: Send) -> None:
        self._inner, self._caller, self._send, self._body = inner, caller, send, body
        self._target, self._on = target_of(scope), passed_on(scope["headers"])
        self._path: str = scope["path"]
        self._failed: list[str] = []
        self._model: str | None = None
        self._begun = False

    async def answer(self, most_bytes: int) -> None:
        """most_bytes: of a body. Raises Unanswered where nothing was answered yet."""
        so_far = SoFar(self._path, object_of(self._body) or {}, most_bytes)
        body, how = self._body, Continuing.ANEW
        while (broken := await self._attempt(so_far, body, how)) is not None:
            if so_far.has_said_all:
                await answering.end(self._send, so_far.end())
                return
            is_last = broken.lasting or so_far.continued >= self._caller.continuations
            if is_last or not so_far.can_go_on():
                await answering.end(self._send, so_far.rest() + broken.event)
                return
            asked, goes_on = so_far.again(self._model)
            how = Continuing.CONTINUES if goes_on else Continuing.ANEW
            body = json.dumps(asked).encode()

    async def _attempt(self, so_far: SoFar, body: bytes, how: Continuing) -> Broken | None:
        """One answer, as far as it comes. None: it was all, and was told."""
        again = (Continuing.HEADER.encode(), "".join((how, *self._failed)).encode())
        try:
            async with self._inner.ask(
                self._caller, "POST", self._target, body, [*self._on, again]
            ) as answer:
                is_stream = answer.status == 200 and _is_readable(answer)
                if not self._begun:
                    self._begun = True
                    if not is_stream:
                        await relayed(answer, self._send)
                        return None
                    await self._start(answer)
                elif not is_stream:
                    return Broken(BROKEN_OFF, lasting=True)
                self._failed.append(answer.header(Continuing.SERVED_BY.encode()) + ",")
                await self._follow(so_far, answer)
        except Broken as broken:
            return broken
        except Unanswered:
            if not self._begun:
                raise
            return Broken(BROKEN_OFF, lasting=False)
        return None

    async def _start(self, answer: Answer) -> None:
        headers = [each for each in passed_back(answer.headers) if each[0] != _OF_ITS_LENGTH]
        self._model = answer.header(_MODEL) or None  # where it went to another one
        await answering.start(self._send, 200, headers)

    async def _follow(self, so_far: SoFar, answer: Answer) -> None:
        """Raises Broken, and Unanswered."""
        reader = Reader()
        while piece := await answer.part():
            out = b""
            try:
                for event in reader.events(piece):
                    out += so_far.take(event)
            except EventTooLong:
                raise Broken(BROKEN_OFF, lasting=True) from None
            finally:
                if out:
                    await answering.part(self._send, out)
        rest = reader.rest()
        await answering.end(self._send, (so_far.take(rest) if rest else b"") + so_far.rest())


def _is_readable(answer: Answer) -> bool:
    """Whether it is a stream whose events can be read."""
    kind, coding = (answer.header(each) for each in (b"content-type", b"content-encoding"))
    return kind.startswith("text/event-stream") and coding in ("", "identity")
