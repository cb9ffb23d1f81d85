"""The translation of /v1/responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from infergate.api.dialects import chat
from infergate.api.dialects.responses import answer, conversation, request
from infergate.api.dialects.responses.events import ResponseEvents
from infergate.api.dialects.responses.kept import KeptAs
from infergate.api.dialects.translation import EVENT_STREAM, Body


class Responses:
    """One request. items: its own input, to be kept together with the answer's `output` by whoever
    can be asked for it by `previous_response_id`. stream: its events, where it is one."""

    method: Literal["GET", "POST"] = "POST"
    target = chat.PATH
    media_type = EVENT_STREAM

    def __init__(
        self,
        _: Mapping[str, str],
        body: Body,
        before: Sequence[conversation.Item] | None = None,
        kept: KeptAs | None = None,
    ) -> None:
        """Raises Refused. before: the conversation that `previous_response_id` names. kept: where
        this one is, too."""
        self._asked, self._kept = body, kept
        self.body = request.chat_request(
            body, before, in_background=kept is not None and kept.in_background
        )
        self.items = conversation.items(body.get("input"))
        self.streamed: bool = self.body["stream"]
        self.stream = ResponseEvents(body, kept)
        self._answer: Body | None = None

    @property
    def whole(self) -> Body | None:
        """Of one that is kept: the response, once it is over."""
        return self._answer or self.stream.whole

    def head(self) -> Body:
        """Before anything was asked for it."""
        return answer.head({}, self._asked, self._kept)

    def answer(self, answer_: Body, /) -> Body:
        found = answer.response(answer_, self._asked, self._kept)
        if self._kept is not None:
            self._answer = found
        return found

    def events(self) -> ResponseEvents:
        return self.stream
