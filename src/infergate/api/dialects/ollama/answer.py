"""Completions → what /api/chat and /api/generate answer, in one piece and in lines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infergate.api.dialects import chat
from infergate.api.dialects.blocks import Step
from infergate.api.dialects.chat_events import ChatEvents
from infergate.api.dialects.translation import Body
from infergate.api.dialects.wire import line


class Shape:
    """How one of the two endpoints says things. thinking: whether thoughts are shown."""

    def __init__(self, model: str, *, is_chat: bool, thinking: bool) -> None:
        self.model, self.is_chat, self.thinking = model, is_chat, thinking

    def said(self, text: str, thoughts: str = "", calls: list[Body] | None = None) -> Body:
        """A line with a part of what the model says."""
        if self.is_chat:
            message: Body = {"role": "assistant", "content": text}
            message |= {"thinking": thoughts} if thoughts else {}
            message |= {"tool_calls": calls} if calls else {}
            return {**self._head(), "message": message, "done": False}
        more = {"thinking": thoughts} if thoughts else {}
        return {**self._head(), "response": text, **more, "done": False}

    def whole(self, answer: Body, since: int) -> Body:
        """An answer in one piece. since: when it was asked for, in ns of time.monotonic_ns."""
        said = chat.read_answer(answer)
        calls = [
            _call(call.id, call.name, call.arguments, n)
            for n, call in enumerate(said.calls)
            if call.name
        ]
        thoughts = said.reasoning if self.thinking else ""
        found = self.said(said.text + said.refusal, thoughts, calls)
        return found | last(said.finish, chat.usage(answer), since, None)

    def _head(self) -> Body:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        return {"model": self.model, "created_at": now.replace("+00:00", "Z")}


def last(finish: str | None, usage: chat.ChatUsage | None, since: int, first: int | None) -> Body:
    """What the last line says: why it ended, and how long it took, in ns. Times are as the gateway
    sees them: until the first piece came, and from there."""
    now = time.monotonic_ns()
    used = usage or chat.ChatUsage()
    begun = now if first is None else first
    return {
        "done": True,
        "done_reason": "length" if finish == "length" else "stop",
        "total_duration": now - since,
        "load_duration": 0,
        "prompt_eval_count": used.prompt,
        "prompt_eval_duration": begun - since,
        "eval_count": used.completion,
        "eval_duration": now - begun,
    }


def _call(id: str, name: str, arguments: str, number: int) -> Body:
    given = chat.called_with(arguments)
    return {"id": id or f"call_{number}", "function": {"name": name, "arguments": given}}


class LineEvents(ChatEvents):
    """One stream. A tool's call comes whole, in a line of its own."""

    def __init__(self, shape: Shape, since: int) -> None:
        super().__init__()
        self._shape, self._since = shape, since
        self._first: int | None = None
        self._finish: str | None = None

    @property
    def _begun(self) -> bool:
        return self._first is not None

    def _fed(self, _: Body, said: chat.Said | None) -> bytes:
        if said is None:
            return b""
        self._first = self._first or time.monotonic_ns()
        self._finish = said.finish or self._finish
        return b"".join(self._line(step) for step in self._blocks.feed(said))

    def _ending(self) -> bytes:
        rest = b"".join(self._line(step) for step in self._blocks.end())
        ending = last(self._finish, self._usage, self._since, self._first or self._since)
        return rest + line(self._shape.said("") | ending)

    def _failed(self, _: int, error: Mapping[str, Any]) -> bytes:
        return line(error_shape(error))

    def _line(self, step: Step) -> bytes:
        block = step.block
        if block.kind == "tool":
            if step.what != "close" or not self._shape.is_chat:
                return b""
            call = _call(block.id, block.name, block.text, block.number)
            return line(self._shape.said("", calls=[call]))
        if step.what != "piece" or (block.kind == "thinking" and not self._shape.thinking):
            return b""
        if block.kind == "thinking":
            return line(self._shape.said("", step.piece))
        return line(self._shape.said(step.piece))


def error_shape(error: Mapping[str, Any]) -> Body:
    """error: OpenAI's, without its wrapping."""
    message = error.get("message")
    return {"error": message if isinstance(message, str) and message else "The backend failed."}
