"""A stream of chat completions → the events of a response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from infergate.api.dialects import chat
from infergate.api.dialects.blocks import Block, Step
from infergate.api.dialects.chat_events import ChatEvents
from infergate.api.dialects.responses import answer
from infergate.api.dialects.responses.kept import KeptAs
from infergate.api.dialects.translation import Body
from infergate.api.dialects.wire import event

_NAMES = {
    "text": "response.output_text",
    "refusal": "response.refusal",
    "thinking": "response.reasoning_text",
    "tool": "response.function_call_arguments",
}
_WHOLE = {"text": "text", "refusal": "refusal", "thinking": "text", "tool": "arguments"}
"""How the event that ends a block names all that it said."""


class ResponseEvents(ChatEvents):
    """One stream: created, in_progress, items one after the other, and how it ended.

    whole: of one that is kept, the response when it is over. Its last event is not told before it
    is kept: whoever does so says `last`.
    """

    def __init__(self, body: Body, kept: KeptAs | None = None) -> None:
        super().__init__()
        self._body, self._kept = body, kept
        self.whole: Body | None = None
        self._head: Body | None = None
        self._identity = ""
        self._opened: list[Block] = []
        self._finish: str | None = None
        self._number = 0

    @property
    def _begun(self) -> bool:
        return self._head is not None

    def _fed(self, chunk: Body, said: chat.Said | None) -> bytes:
        found = self._start(chunk)
        if said is None:
            return found
        self._finish = said.finish or self._finish
        return found + self._steps(self._blocks.feed(said))

    def _ending(self) -> bytes:
        rest = self._steps(self._blocks.end())
        head = self._head or {}
        whole = answer.ended(head, self._output("completed"), self._finish, self._usage)
        return rest + self._over_with(whole)

    def _failed(self, status: int, error: Mapping[str, Any]) -> bytes:
        begun = self._start({})
        head = {**(self._head or {}), "output": self._output("incomplete")}
        return begun + self._over_with(answer.failed(head, status, error))

    def last(self, whole: Body) -> bytes:
        """The event that ends it. whole: the response."""
        return self._event(f"response.{whole['status']}", response=whole)

    def queued(self, head: Body) -> bytes:
        """What one in the background begins with: it waits. head: the response so far."""
        names = ("response.created", "response.queued")
        return b"".join(self._event(name, response=head) for name in names)

    def _over_with(self, whole: Body) -> bytes:
        if self._kept is None:
            return self.last(whole)
        self.whole = whole
        return b""

    def _start(self, chunk: Body) -> bytes:
        if self._head is not None:
            return b""
        self._identity = answer.identity(chunk, self._kept)
        self._head = answer.head(chunk, self._body, self._kept)
        names = ["response.in_progress"]
        if not self._number:
            names.insert(0, "response.created")
        return b"".join(self._event(name, response=self._head) for name in names)

    def _output(self, last: str) -> list[Body]:
        """last: the status of an item that did not end."""
        return [answer.item(each, self._identity, last) for each in self._opened]

    def _event(self, name: str, **data: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return event(name, {"type": name, "sequence_number": number, **data})

    def _steps(self, steps: Iterable[Step]) -> bytes:
        return b"".join(self._step(step) for step in steps)

    def _step(self, step: Step) -> bytes:
        match step.what:
            case "open":
                return self._open(step.block)
            case "piece":
                return self._said(step.block, "delta", delta=step.piece)
        return self._close(step.block)

    def _open(self, block: Block) -> bytes:
        self._opened.append(block)
        item = answer.item(block, self._identity, "in_progress")
        added = self._event("response.output_item.added", output_index=block.number, item=item)
        if block.kind == "tool":
            return added
        return added + self._part(block, "added")

    def _close(self, block: Block) -> bytes:
        item = answer.item(block, self._identity, "completed")
        said = self._said(block, "done", **{_WHOLE[block.kind]: block.text})
        part = b"" if block.kind == "tool" else self._part(block, "done")
        done = self._event("response.output_item.done", output_index=block.number, item=item)
        return said + part + done

    def _part(self, block: Block, what: str) -> bytes:
        place = {**self._place(block), "content_index": 0}
        return self._event(f"response.content_part.{what}", **place, part=answer.part(block))

    def _said(self, block: Block, what: str, **data: Any) -> bytes:
        place = self._place(block)
        if block.kind != "tool":
            place["content_index"] = 0
        if block.kind == "text":
            place["logprobs"] = []
        return self._event(f"{_NAMES[block.kind]}.{what}", **place, **data)

    def _place(self, block: Block) -> Body:
        id = answer.item_id(block, self._identity)
        return {"item_id": id, "output_index": block.number}
