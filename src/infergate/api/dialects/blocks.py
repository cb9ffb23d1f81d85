"""Puts what a stream of chat completions says into blocks, one after the other.

Chunks of parallel tool calls may be interleaved; clients of other dialects read one block at a
time. The first block is passed on as it comes, others wait until it is complete, which the
arguments of a call are as soon as they are an object of JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from infergate.api.dialects import chat

Kind = Literal["thinking", "text", "refusal", "tool"]


@dataclass(eq=False)
class Block:
    """number: its place in the answer, once it is open. id, name: a tool call's."""

    kind: Kind
    id: str = ""
    name: str = ""
    number: int = -1
    said: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that was passed on of it."""
        return "".join(self.said)


@dataclass(frozen=True)
class Step:
    """What comes next: a block begins, goes on with a text that is not empty, or ends."""

    what: Literal["open", "piece", "close"]
    block: Block
    piece: str = ""


class Blocks:
    """The blocks of one stream."""

    def __init__(self) -> None:
        self._queue: list[Block] = []
        self._tools: dict[int, Block] = {}
        self._opened = 0

    def feed(self, said: chat.Said) -> Iterator[Step]:
        """The steps that this chunk makes possible."""
        self._text("thinking", said.reasoning)
        self._text("text", said.text)
        self._text("refusal", said.refusal)
        for call in said.calls:
            self._call(call)
        yield from self._steps(ending=False)

    def end(self) -> Iterator[Step]:
        """What is left. A call that never had a name is none."""
        self._queue = [each for each in self._queue if each.kind != "tool" or each.name]
        yield from self._steps(ending=True)

    @property
    def calls(self) -> int:
        """How many tool calls have been opened."""
        return sum(1 for each in self._tools.values() if each.number >= 0)

    def _text(self, kind: Kind, piece: str) -> None:
        if not piece:
            return
        if not self._queue or self._queue[-1].kind != kind:
            self._queue.append(Block(kind))
        self._queue[-1].waiting.append(piece)

    def _call(self, call: chat.Call) -> None:
        block = self._tools.get(call.index)
        if block is None or (call.name and call.id and block.id and call.id != block.id):
            # Some servers number every call 0, and tell them apart by their ids.
            block = self._tools[call.index] = Block("tool")
            self._queue.append(block)
        block.id = block.id or call.id
        block.name = block.name or call.name
        if call.arguments:
            block.waiting.append(call.arguments)

    def _steps(self, *, ending: bool) -> Iterator[Step]:
        while self._queue:
            head = self._queue[0]
            if head.number < 0:
                if head.kind == "tool" and not head.name:
                    return
                head.number, self._opened = self._opened, self._opened + 1
                yield Step("open", head)
            if head.waiting:
                piece = "".join(head.waiting)
                head.said.append(piece)
                head.waiting.clear()
                yield Step("piece", head, piece)
            if not ending and (len(self._queue) == 1 or not _complete(head)):
                return
            del self._queue[0]
            yield Step("close", head)


def _complete(block: Block) -> bool:
    if block.kind != "tool":
        return True
    if not block.said or not block.said[-1].rstrip().endswith("}"):
        return False
    return chat.arguments(block.text) is not None
