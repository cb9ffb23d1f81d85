"""A stream of chat completions → the events of Anthropic's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from infergate.api.dialects import chat
from infergate.api.dialects.anthropic import answer, errors
from infergate.api.dialects.blocks import Block, Step
from infergate.api.dialects.chat_events import ChatEvents
from infergate.api.dialects.translation import Body
from infergate.api.dialects.wire import compact, event


class MessageEvents(ChatEvents):
    """One stream. `message_start`, blocks one after the other, `message_delta`, `message_stop`."""

    def __init__(self, model: str, stops: Sequence[str], *, thinking: bool) -> None:
        super().__init__()
        self._model, self._stops, self._thinking = model, stops, thinking
        self._head: Body | None = None
        self._last = chat.Said()

    @property
    def _begun(self) -> bool:
        return self._head is not None

    def _fed(self, chunk: Body, said: chat.Said | None) -> bytes:
        found = self._start(chunk)
        if said is None:
            return found
        if said.finish or said.refusal:
            self._last = said
        if not self._thinking:
            said = replace(said, reasoning="")
        return found + b"".join(_event(step) for step in self._blocks.feed(said))

    def _ending(self) -> bytes:
        rest = b"".join(_event(step) for step in self._blocks.end())
        reason, stop = answer.stop_reason(self._last, self._blocks.calls > 0, self._stops)
        last = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": stop},
            "usage": answer.usage(self._usage),
        }
        return rest + event("message_delta", last) + event("message_stop", {"type": "message_stop"})

    def _failed(self, status: int, error: Mapping[str, Any]) -> bytes:
        return event("error", errors.shape(status, error))

    def _start(self, chunk: Body) -> bytes:
        if self._head is not None:
            return b""
        self._head = answer.head(chunk, self._model)
        start = {**self._head, "usage": answer.usage(chat.usage(chunk))}
        begun = event("message_start", {"type": "message_start", "message": start})
        return begun + event("ping", {"type": "ping"})


def _event(step: Step) -> bytes:
    block = step.block
    if block.kind == "tool" and not _is_object(block.said):
        return _no_object(step)
    match step.what:
        case "open":
            return _told(block, "content_block_start", content_block=_begun(block))
        case "piece":
            # What stood before its first brace was kept back.
            begins = block.kind == "tool" and not any(each.strip() for each in block.said[:-1])
            piece = block.text if begins else step.piece
            return _told(block, "content_block_delta", delta=_delta(block, piece))
    return _told(block, "content_block_stop")


def _no_object(step: Step) -> bytes:
    """Of a call whose arguments are none so far, or no object: clients take them for one, so they
    are kept back until it is known."""
    block = step.block
    match step.what:
        case "open":
            return _told(block, "content_block_start", content_block=_begun(block))
        case "piece":
            return b""
    told = b""
    if block.text.strip():
        piece = compact({chat.NO_OBJECT: block.text})
        told = _told(block, "content_block_delta", delta=_delta(block, piece))
    return told + _told(block, "content_block_stop")


def _is_object(said: list[str]) -> bool:
    return next((each for each in said if each.strip()), "").lstrip().startswith("{")


def _told(block: Block, name: str, **more: Any) -> bytes:
    return event(name, {"type": name, "index": block.number, **more})


def _begun(block: Block) -> Body:
    match block.kind:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool":
            call = answer.tool_id(block.id, block.number)
            return {"type": "tool_use", "id": call, "name": block.name, "input": {}}
    return {"type": "text", "text": ""}


def _delta(block: Block, piece: str) -> Body:
    match block.kind:
        case "thinking":
            return {"type": "thinking_delta", "thinking": piece}
        case "tool":
            return {"type": "input_json_delta", "partial_json": piece}
    return {"type": "text_delta", "text": piece}
