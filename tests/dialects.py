"""For tests of translations: a backend behind an SDK's own client, and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import httpx2

from infergate.api.dialects import table
from infergate.api.dialects.translation import Body, Translation
from infergate.api.refusal import Refused

USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 5,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 8},
}


def chunk(*, finish: str | None = None, usage: Body | None = None, **delta: Any) -> Body:
    """One of a stream. Without anything: the one that has only the usage."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    base = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [choice] if delta or finish else []
    return {**base, "choices": choices, **({"usage": usage} if usage else {})}


def piece(index: int, arguments: str, *, name: str | None = None, id: str | None = None) -> Body:
    """A delta's tool_calls with a piece of one call."""
    function = {"arguments": arguments, **({"name": name} if name else {})}
    call = {"index": index, "function": function}
    return {"tool_calls": [{**call, **({"id": id, "type": "function"} if id else {})}]}


def answer(*, finish: str = "stop", usage: Body | None = USAGE, **message: Any) -> Body:
    """A whole one."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    base = {"id": "chatcmpl-7", "object": "chat.completion", "created": 1, "model": "m"}
    return {**base, "choices": [choice], "usage": usage}


def call(id: str, name: str, arguments: str) -> Body:
    """Of a whole answer."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def streamed(translation: Translation, chunks: Iterable[Body]) -> bytes:
    """All that the client gets."""
    events = translation.events()
    return b"".join([*map(events.feed, chunks), events.end()])


class Backend:
    """Answers an SDK's requests through a translation.

    says: a whole answer, or the chunks of a stream. asked: what it was asked last, translated.
    broken: the status and error with which a stream ends. http: httpx or its successor, whichever
    the SDK uses.
    """

    def __init__(
        self, says: Any, broken: tuple[int, Body] | None = None, http: Any = httpx2
    ) -> None:
        self.says, self.broken, self.http = says, broken, http
        self.asked: Body = {}
        self.target = ""

    def client(self) -> Any:
        return self.http.Client(transport=self.http.MockTransport(self))

    def __call__(self, request: Any) -> Any:
        path, given = request.url.path, json.loads(request.content or b"{}")
        try:
            made = table.translation(request.method, path, _headers(request.headers), given)
        except Refused as refused:
            status, body = table.error(path, refused.status, refused.error)
            return self.http.Response(status, json=body)
        assert made is not None, path
        self.asked, self.target = made.body, made.target
        if not made.streamed:
            return self.http.Response(200, json=made.answer(self.says))
        return self.http.Response(
            200, content=self._stream(made), headers={"content-type": made.media_type}
        )

    def _stream(self, made: Translation) -> bytes:
        if self.broken is None:
            return streamed(made, self.says)
        events = made.events()
        begun = b"".join(map(events.feed, self.says))
        return begun + events.broken(*self.broken) + events.end()


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def events(stream: bytes) -> list[Body]:
    """The data of server-sent events, whose names must be their types."""
    found = []
    for each in stream.decode().split("\n\n"):
        if each:
            name, data = each.split("\n", 1)
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1]['type']}"
    return found


def check_anthropic(told: list[Body]) -> None:
    """That events stand in Anthropic's order: one message, one block at a time, numbered from 0."""
    kinds = [each["type"] for each in told if each["type"] != "ping"]
    if kinds and kinds[-1] == "error":
        kinds.pop()
    else:
        assert kinds[-2:] == ["message_delta", "message_stop"], kinds
        del kinds[-2:]
    assert not kinds or kinds.pop(0) == "message_start", kinds
    opened, numbers = False, iter(range(len(kinds)))
    number = -1
    inner = [each for each in told if each["type"].startswith("content_block")]
    assert len(kinds) == len(inner), kinds
    for each in inner:
        if each["type"] == "content_block_start":
            assert not opened
            number, opened = next(numbers), True
            begun = each["content_block"]["type"]
        else:
            assert opened
            opened = each["type"] != "content_block_stop"
        if each["type"] == "content_block_delta":
            fits = {"text": "text_delta", "thinking": "thinking_delta"}
            assert each["delta"]["type"] == fits.get(begun, "input_json_delta")
        assert each["index"] == number
    assert not opened or told[-1]["type"] == "error"


def check_responses(told: list[Body]) -> None:
    """That events stand in the order of OpenAI's Responses: numbered, items one after the other."""
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    kinds = [each["type"].removeprefix("response.") for each in told]
    begins = ["created", *(["queued"] if "queued" in kinds else []), "in_progress"]
    assert kinds[: len(begins)] == begins
    assert kinds[-1] in ("completed", "incomplete", "failed")
    waits: list[str] = []
    number = -1
    for each, kind in zip(told[len(begins) : -1], kinds[len(begins) : -1], strict=True):
        if kind == "output_item.added":
            assert not waits
            number += 1
            id = each["item"]["id"]
            whole = {"function_call": ["function_call_arguments"]}
            part = whole.get(each["item"]["type"], ["content_part.added"])
            waits = [*part, "output_item.done"]
        elif kind == "content_part.added":
            assert waits.pop(0) == kind
            says = {"output_text": "output_text", "refusal": "refusal"}
            waits = [says.get(each["part"]["type"], "reasoning_text"), "content_part.done", *waits]
        elif kind.endswith(".delta"):
            assert waits[0] == kind.removesuffix(".delta")
        else:
            assert waits.pop(0) in (kind, kind.removesuffix(".done"))
        assert each["output_index"] == number
        assert each.get("item_id", id) == id
    assert not waits or kinds[-1] == "failed"
    assert len(told[-1]["response"]["output"]) == number + 1
