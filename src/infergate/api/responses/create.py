"""POST /v1/responses: answered now, or in the background."""

from __future__ import annotations

from dataclasses import replace

from starlette.types import Receive, Scope, Send

from infergate.api import answering
from infergate.api.answering import body_of, while_there
from infergate.api.asker import Asker
from infergate.api.caller import caller_of, passed_on
from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused
from infergate.api.responses.around import ResponsesAround
from infergate.api.responses.ask import PATH
from infergate.api.responses.follow import follow
from infergate.api.responses.keeping import KeepingSend
from infergate.api.responses.runs import Runs
from infergate.api.responses.wanted import Wanted, wanted
from infergate.api.threads import to_its_end
from infergate.api.translate import asked, object_in
from infergate.errors import InfergateError
from infergate.log import log
from infergate.store.responses import StoredResponse, add_response


class Create:
    """Of one gateway."""

    def __init__(self, around: ResponsesAround, runs: Runs) -> None:
        self._around, self._runs = around, runs

    async def answer(self, asker: Asker, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused, Left, BodyTooLarge, StateError."""
        body = object_in(await body_of(receive, self._around.largest()))
        found = await wanted(self._around, asker, body)
        if found.stored is not None and found.in_background:
            await self._in_background(found, found.stored, receive, send)
            return
        out = send
        if (stored := found.stored) is not None:
            out = KeepingSend(found.translation, send, lambda whole: self._keep(stored, whole))
        caller, on = caller_of(scope["headers"]), passed_on(scope["headers"])
        work = asked(self._around.inner, caller, found.translation, PATH, on, out)
        await while_there(receive, work)

    async def _keep(self, stored: StoredResponse, whole: Body) -> Body:
        """As the client is told of it. Where it cannot be kept it is an answer all the same, and
        says so."""
        made, settings = replace(stored, document=whole), self._around.settings()
        if made.bytes > settings.max_bytes:
            return {**whole, "store": False}
        most, most_bytes = settings.most, settings.bytes
        try:
            await to_its_end(
                add_response, self._around.database, made, most=most, most_bytes=most_bytes
            )
        except InfergateError as problem:
            log.error("a response was not kept", response=made.id, problem=str(problem))
            return {**whole, "store": False}
        return whole

    async def _in_background(
        self, found: Wanted, stored: StoredResponse, receive: Receive, send: Send
    ) -> None:
        settings = self._around.settings()
        if stored.bytes > settings.max_bytes:
            message = f"In the background, a request has {settings.max_bytes} bytes at most."
            raise Refused(message, status=413)
        if not await to_its_end(
            add_response,
            self._around.database,
            stored,
            most=settings.most,
            most_bytes=settings.bytes,
            most_open=settings.background,
        ):
            message = f"{settings.background} in the background are all that one key may have."
            raise Refused(message, status=429, code="too_many_responses")
        run = self._runs.begin(stored, found.translation)
        if found.translation.streamed:
            await while_there(receive, follow(run.events(-1), send))
        else:
            await answering.answer_json(send, 200, stored.document)
