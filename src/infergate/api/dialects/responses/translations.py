"""The translation of /v1/responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from infergate.api.dialects import chat
from infergate.api.dialects.responses import answer, conversation, request
from infergate.api.dialects.responses.events import ResponseEvents
from infergate.api.dialects.translation import EVENT_STREAM, Body, Events


class Responses:
    """One request. items: its whole conversation, to be kept together with the answer's `output`
    by whoever can be asked for it by `previous_response_id`."""

    method: Literal["GET", "POST"] = "POST"
    target = chat.PATH
    media_type = EVENT_STREAM

    def __init__(
        self,
        _: Mapping[str, str],
        body: Body,
        before: Sequence[conversation.Item] | None = None,
    ) -> None:
        """Raises Refused. before: the items, and the output, of the response before this one."""
        self._asked = body
        self.body = request.chat_request(body, before)
        self.items = [*(before or ()), *conversation.items(body.get("input"))]
        self.streamed: bool = self.body["stream"]

    def answer(self, answer_: Body, /) -> Body:
        return answer.response(answer_, self._asked)

    def events(self) -> Events:
        return ResponseEvents(self._asked)
