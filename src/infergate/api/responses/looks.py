"""Responses by their ids: look, follow, list what was asked, cancel, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from infergate.api import answering
from infergate.api.answering import while_there
from infergate.api.asker import Asker
from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused, missing
from infergate.api.responses.around import ResponsesAround
from infergate.api.responses.documents import items_document
from infergate.api.responses.follow import follow, of_text
from infergate.api.responses.runs import Runs
from infergate.api.responses.wanted import KEPT_ID
from infergate.api.threads import to_its_end
from infergate.store.responses import (
    OPEN,
    StoredResponse,
    earlier,
    end_response,
    find_response,
    forget_response,
    owner_of,
)


class Looks:
    """Of one gateway."""

    def __init__(self, around: ResponsesAround, runs: Runs) -> None:
        self._around, self._runs = around, runs

    async def answer(
        self, asker: Asker, what: str, id_: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """what: the method, and what comes after the id. Raises Refused, StateError."""
        owner = await to_its_end(owner_of, self._around.database, asker.entry)
        found = await self._found(id_, owner)
        asked = Request(scope).query_params
        match what:
            case "GET" if asked.get("stream", "").lower() in ("true", "1"):
                events = await self._events(found, _after(asked))
                await while_there(receive, follow(events, send))
                return
            case "GET":
                document: Body = found.document
            case "GET/input_items":
                chain = await to_its_end(earlier, self._around.database, found)
                document = items_document(chain, asked)
            case "POST/cancel":
                document = await self._cancelled(found)
            case _:
                await to_its_end(forget_response, self._around.database, id_, owner)
                self._runs.interrupt(id_)
                document = {"id": id_, "object": "response", "deleted": True}
        await answering.answer_json(send, 200, document)

    async def _found(self, id_: str, owner: str) -> StoredResponse:
        if KEPT_ID.fullmatch(id_) is None:
            raise missing("response", id_)
        found = await to_its_end(find_response, self._around.database, id_, owner)
        if found is None:
            raise missing("response", id_)
        return found

    async def _events(self, found: StoredResponse, after: int) -> AsyncIterator[bytes]:
        run = self._runs.of(found.id)
        if run is not None and run.streams:
            return run.events(after)
        now = await self._found(found.id, found.owner)  # it may have ended in between
        if now.events is None:
            raise Refused(
                "Its events are not there: only a response that was made with 'background' and "
                "'stream' has some, at the gateway that makes it, and if it was not cancelled.",
                param="stream",
            )
        return of_text(now.events, after)

    async def _cancelled(self, found: StoredResponse) -> Body:
        if not found.in_background:
            raise Refused("Only a response that was made with 'background' can be cancelled.")
        if found.status in OPEN:
            document = {**found.document, "status": "cancelled"}
            await to_its_end(end_response, self._around.database, found.id, document)
            self._runs.interrupt(found.id)
        return (await self._found(found.id, found.owner)).document


def _after(asked: Mapping[str, str]) -> int:
    """`starting_after`: the number of an event. Raises Refused."""
    text = asked.get("starting_after", "-1")
    if text == "-1":
        return -1
    if not text.isascii() or not text.isdigit():
        raise Refused("starting_after is the number of an event.", param="starting_after")
    return int(text[:9])
