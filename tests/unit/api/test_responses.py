"""OpenAI's official client asks for responses, of servers that have chat completions only."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from infergate.api.dialects import table
from infergate.api.dialects.translation import Translation
from infergate.api.refusal import Refused
from tests import dialects
from tests.chunk_streams import Told, streams
from tests.dialects import chunk, piece
from tests.json_near import ANYTHING, near
from tests.unit.api.responses_client import ULM, WEATHER, client


def whole(answer: dict[str, Any], **more: Any) -> Response:
    return client(dialects.Backend(answer)).responses.create(model="m", input="hello", **more)


def streamed(chunks: list[dict[str, Any]], **more: Any) -> Response:
    """By the client's own helper, which puts events together."""
    backend = dialects.Backend(chunks)
    with client(backend).responses.stream(model="m", input="hello", **more) as stream:
        return stream.get_final_response()


def said(response: Response) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for each in response.output:
        match each.type:
            case "message":
                found += [(part.type, getattr(part, "text", None)) for part in each.content]
            case "reasoning":
                found += [(part.type, part.text) for part in each.content or []]
            case "function_call":
                found.append((each.call_id, each.arguments))
    return found


def test_an_answer_whole_and_streamed() -> None:
    calls = [dialects.call("a", "weather", ULM), dialects.call("b", "weather", "{}")]
    chunks = [
        chunk(role="assistant", content=None),
        chunk(reasoning="Hm."),
        chunk(content="I "),
        chunk(content="look."),
        chunk(**piece(0, "", name="weather", id="a")),
        chunk(**piece(1, "", name="weather", id="b")),
        chunk(**piece(0, ULM)),
        chunk(**piece(1, "{}")),
        chunk(content="", finish="tool_calls"),
        chunk(usage=dialects.USAGE),
    ]
    told = dialects.answer(content="I look.", reasoning="Hm.", tool_calls=calls)
    for response in (whole(told, tools=[WEATHER]), streamed(chunks, tools=[WEATHER])):
        assert (response.status, response.id, response.model) == ("completed", "resp_7", "m")
        assert said(response) == [
            ("reasoning_text", "Hm."),
            ("output_text", "I look."),
            ("a", ULM),
            ("b", "{}"),
        ]
        assert response.output_text == "I look."
        assert response.usage is not None
        assert response.usage.input_tokens == 11
        assert response.usage.input_tokens_details.cached_tokens == 8
        assert response.usage.total_tokens == 16
        assert len(response.tools) == 1


def test_a_shape_is_parsed_by_the_client() -> None:
    class Town(pydantic.BaseModel):
        town: str

    backend = dialects.Backend(dialects.answer(content=ULM))
    parsed = client(backend).responses.parse(model="m", input="hello", text_format=Town)
    assert parsed.output_parsed == Town(town="Ulm")
    assert backend.asked["response_format"]["json_schema"]["name"] == "Town"


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_did_not_end_says_why(finish: str, reason: str) -> None:
    response = whole(dialects.answer(content="hi", finish=finish))
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == reason
    chunks = [chunk(content="hi"), chunk(content="", finish=finish)]
    stream = client(dialects.Backend(chunks)).responses.create(model="m", input="a", stream=True)
    last = list(stream)[-1]
    assert last.type == "response.incomplete"


def test_a_refusal_is_one() -> None:
    response = whole(dialects.answer(content=None, refusal="No."))
    assert [part.refusal for part in response.output[0].content] == ["No."]  # type: ignore[union-attr]


def test_a_stream_that_breaks_off_is_a_failed_response() -> None:
    for chunks in ([chunk(content="hi")], []):
        backend = dialects.Backend(chunks, broken=(502, {"message": "it is gone"}))
        events = list(client(backend).responses.create(model="m", input="a", stream=True))
        last = events[-1]
        assert last.type == "response.failed"
        assert last.response.status == "failed"
        assert last.response.error is not None
        assert last.response.error.message == "it is gone"


FULL: dict[str, Any] = {
    "model": "m",
    "instructions": "i",
    "input": [
        {"role": "developer", "content": "d"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "u"},
                {"type": "input_image", "image_url": "http://a"},
                {"type": "input_file", "file_data": "data:a"},
            ],
        },
        {"type": "reasoning", "id": "r", "content": [{"type": "reasoning_text", "text": "t"}]},
        {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "r"},
    ],
    "tools": [WEATHER],
    "tool_choice": {"type": "function", "name": "weather"},
    "parallel_tool_calls": True,
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
    "reasoning": {"effort": "low"},
    "max_output_tokens": 5,
    "temperature": 1,
    "stream": True,
}


def made(body: dict[str, Any]) -> Translation:
    found = table.translation("POST", "/v1/responses", {}, body)
    assert found is not None
    return found


@given(near(FULL))
def test_a_body_is_translated_or_refused(body: Any) -> None:
    with suppress(Refused):
        found = made(body)
        assert found.body["model"] == body["model"]
        dialects.check_responses(
            dialects.events(dialects.streamed(found, [chunk(content="a", finish="stop")]))
        )


@given(streams())
def test_any_stream_is_in_order_and_loses_nothing(told: Told) -> None:
    events = dialects.events(dialects.streamed(made(FULL), told.chunks))
    dialects.check_responses(events)
    last = Response.model_validate(events[-1]["response"])
    assert last.output_text == told.text
    assert "".join(text for kind, text in said(last) if kind == "reasoning_text") == told.thoughts
    calls = [each for each in last.output if each.type == "function_call"]
    assert [each.call_id for each in calls] == list(told.calls)
    for each in calls:
        assert dialects.json.loads(each.arguments) == told.calls[each.call_id]
    assert last.status == ("incomplete" if told.finish == "length" else "completed")
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert done == events[-1]["response"]["output"]


@given(streams(), st.data(), st.integers(0, 9), ANYTHING)
def test_wrong_chunks_and_broken_streams_stay_in_order(
    told: Told, data: st.DataObject, after: int, message: Any
) -> None:
    chunks = [data.draw(near(each)) for each in told.chunks[:after]]
    dialects.check_responses(dialects.events(dialects.streamed(made(FULL), chunks)))
    events = made(FULL).events()
    begun = b"".join(events.feed(each) for each in told.chunks[:after])
    found = dialects.events(begun + events.broken(502, {"message": message}))
    dialects.check_responses(found)
    assert found[-1]["type"] == "response.failed"
    Response.model_validate(found[-1]["response"])
    assert events.feed(told.chunks[0]) + events.end() == b""


@given(
    near(dialects.answer(content="a", reasoning="b", tool_calls=[dialects.call("i", "f", "{}")]))
)
def test_a_wrong_answer_is_a_response_or_the_backends_fault(answer: Any) -> None:
    try:
        found = made(FULL).answer(answer)
    except Refused:
        return
    Response.model_validate(found)
