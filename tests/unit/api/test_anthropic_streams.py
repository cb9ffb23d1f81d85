"""Whatever a client asks and a backend streams: an answer or an error of Anthropic's API."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st

from infergate.api.dialects import table
from infergate.api.dialects.translation import Translation
from infergate.api.refusal import Refused
from tests import dialects
from tests.chunk_streams import Told, streams
from tests.json_near import ANYTHING, near

PNG = {"type": "base64", "media_type": "image/png", "data": "aa"}
FULL: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "stream": True,
    "system": [{"type": "text", "text": "Be kind."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hello"},
                {"type": "image", "source": PNG},
                {
                    "type": "document",
                    "title": "t",
                    "source": {"type": "content", "content": [{"type": "text", "text": "in"}]},
                },
                {"type": "search_result", "source": "s", "title": "t", "content": []},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": ""},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [], "is_error": True}
            ],
        },
    ],
    "tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}
    ],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
}
PATHS = ("/v1/messages", "/v1/messages/count_tokens")
HEADERS: tuple[dict[str, str], ...] = ({}, {"anthropic-version": "2026-10-21"})


def made(body: dict[str, Any], path: str = PATHS[0]) -> Translation:
    found = table.translation("POST", path, {}, body)
    assert found is not None
    return found


@given(near(FULL), st.sampled_from(PATHS), st.sampled_from(HEADERS))
def test_a_body_is_translated_or_refused(body: Any, path: str, headers: dict[str, str]) -> None:
    with suppress(Refused):
        asked = table.translation("POST", path, headers, body)
        assert asked is not None
        assert asked.body["model"] == body["model"]
        assert isinstance(asked.body["messages"], list)


def test_what_the_others_are_near_to_is_itself_translated() -> None:
    assert made(FULL).body["messages"][-1]["role"] == "tool"


@given(streams())
def test_any_stream_is_in_order_and_loses_nothing(told: Told) -> None:
    stream = dialects.streamed(made(FULL), told.chunks)
    events = dialects.events(stream)
    dialects.check_anthropic(events)
    message = _put_together(events)
    assert "".join(each.text for each in message.content if each.type == "text") == told.text
    thoughts = [each.thinking for each in message.content if each.type == "thinking"]
    assert "".join(thoughts) == told.thoughts
    calls = {each.id: each.input for each in message.content if each.type == "tool_use"}
    assert list(calls.items()) == list(told.calls.items())
    reason = "max_tokens" if told.finish == "length" else "tool_use" if calls else "end_turn"
    assert message.stop_reason == reason
    assert message.usage.output_tokens == 5


def _put_together(events: list[dict[str, Any]]) -> Message:
    """As docs.anthropic.com says that events are to be read."""
    parts: list[str] = []
    whole: dict[str, Any] = {}
    for each in events:
        match each["type"]:
            case "message_start":
                whole = each["message"]
            case "content_block_start":
                whole["content"].append(each["content_block"])
                parts = []
            case "content_block_delta":
                parts += [text for name, text in each["delta"].items() if name != "type"]
            case "content_block_stop":
                _close(whole["content"][each["index"]], "".join(parts))
            case "message_delta":
                whole |= each["delta"]
                whole["usage"] |= each["usage"]
    return Message.model_validate(whole, strict=True)


def _close(block: dict[str, Any], said: str) -> None:
    if block["type"] == "tool_use":
        block["input"] = dialects.json.loads(said)
    else:
        block[block["type"]] = said


@given(streams(), st.data())
def test_chunks_that_are_wrong_break_nothing(told: Told, data: st.DataObject) -> None:
    chunks = [data.draw(near(each)) for each in told.chunks]
    dialects.check_anthropic(dialects.events(dialects.streamed(made(FULL), chunks)))


@given(streams(), st.integers(0, 9), ANYTHING)
def test_a_stream_that_breaks_off_anywhere_ends_in_one_error(
    told: Told, after: int, message: Any
) -> None:
    events = made(FULL).events()
    begun = b"".join(events.feed(each) for each in told.chunks[:after])
    last = events.broken(502, {"message": message})
    found = dialects.events(begun + last)
    dialects.check_anthropic(found)
    assert found[-1]["type"] == "error"
    assert isinstance(found[-1]["error"]["message"], str)
    assert events.feed(told.chunks[0]) + events.end() + events.broken(500, {}) == b""


@given(
    near(dialects.answer(content="a", reasoning="b", tool_calls=[dialects.call("i", "f", "{}")]))
)
def test_a_wrong_answer_is_a_message_or_the_backends_fault(answer: Any) -> None:
    translation = made(FULL)
    if isinstance(answer.get("choices"), list) and _has_message(answer["choices"]):
        Message.model_validate(translation.answer(answer), strict=True)
        return
    with pytest.raises(Refused) as refused:
        translation.answer(answer)
    assert refused.value.status == 502


def _has_message(choices: list[Any]) -> bool:
    first = next((each for each in choices if isinstance(each, dict) and not each.get("index")), {})
    return isinstance(first.get("message"), dict)


@pytest.mark.parametrize("path", PATHS)
def test_errors_of_a_backend_have_this_shape(path: str) -> None:
    status, body = table.error(path, 404, {"message": "no such model", "type": "x", "code": 1})
    assert status == 404
    wanted = {"type": "not_found_error", "message": "no such model"}
    assert body == {"type": "error", "error": wanted}
