"""The translations of Anthropic's two endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from infergate.api.dialects import chat
from infergate.api.dialects.anthropic import answer, request
from infergate.api.dialects.anthropic.events import MessageEvents
from infergate.api.dialects.anthropic.version import Version
from infergate.api.dialects.translation import EVENT_STREAM, Body, Events, InOnePiece
from infergate.api.refusal import Refused


class Messages:
    """/v1/messages."""

    method: Literal["GET", "POST"] = "POST"
    target = chat.PATH
    media_type = EVENT_STREAM

    def __init__(self, headers: Mapping[str, str], body: Body) -> None:
        """Raises Refused. headers: their names in lower case."""
        self.body = request.chat_request(body, Version(headers.get("anthropic-version", "")))
        self.streamed: bool = self.body["stream"]
        self._model: str = self.body["model"]
        self._stops: list[str] = self.body.get("stop", [])
        self._thinking = request.shows_thinking(body)

    def answer(self, answer_: Body) -> Body:
        return answer.message(answer_, self._model, self._stops, thinking=self._thinking)

    def events(self) -> Events:
        return MessageEvents(self._model, self._stops, thinking=self._thinking)


class CountTokens(InOnePiece):
    """/v1/messages/count_tokens: a completion of one token, whose usage says how many the prompt
    has. There is no other way that every server has and that knows its chat template, its tools
    and its pictures."""

    method: Literal["GET", "POST"] = "POST"
    target = chat.PATH

    def __init__(self, headers: Mapping[str, str], body: Body) -> None:
        """Raises Refused."""
        asked = request.prompt(body, Version(headers.get("anthropic-version", "")))
        # Neither decides how long a prompt is, and both want more than one token.
        self.body = {**asked, "max_tokens": 1, "stream": False}
        self.body.pop("response_format", None)
        if "tool_choice" in self.body:
            self.body["tool_choice"] = "auto"

    def answer(self, answer_: Body) -> Body:
        used = chat.usage(answer_)
        if used is None:
            raise Refused(
                "The model's server does not say how many tokens a prompt has.",
                status=502,
                code="bad_answer",
            )
        return {"input_tokens": used.prompt}
