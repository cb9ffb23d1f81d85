"""The official client at a real llama.cpp that is asked for chat completions alone: conversations
that go on by their ids, with a tool; and answers that are made in the background."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from infergate.store.responses import OPEN
from tests.backends.servers import Server
from tests.gateway import gateway, until

SHORT: Any = {"model": "m", "max_output_tokens": 9, "temperature": 0}
TOOL: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"town": {"enum": ["Ulm"]}},
        "required": ["town"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture(scope="module")
def gpt(llama: Server) -> Iterator[openai.OpenAI]:
    config = f"""
backends: {{ chat: {{ url: {llama.url}, engine: tgi }} }}
models: {{ m: {{ backends: [chat], upstream_name: tiny-llama }} }}
api: {{ responses: {{}} }}
"""
    with gateway("embedded", config) as it:
        until(lambda: {each["state"] for each in it.status()["backends"]} == {"up"})
        with openai.OpenAI(
            base_url=f"{it.url}/v1", api_key=it.key, max_retries=0, timeout=60
        ) as client:
            yield client


def ended(gpt: openai.OpenAI, id_: str) -> Response:
    found: list[Response] = []

    def over() -> bool:
        found[:] = [gpt.responses.retrieve(id_)]
        return found[0].status not in OPEN

    until(over)
    return found[0]


@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_said_before_is_said_again(gpt: openai.OpenAI, streamed: bool) -> None:
    def asked(given: Any, **more: Any) -> Response:
        if not streamed:
            found: Response = gpt.responses.create(input=given, **SHORT, **more)
            return found
        with gpt.responses.stream(input=given, **SHORT, **more) as stream:
            return stream.get_final_response()

    first = asked("hello")
    second = asked("and on", previous_response_id=first.id)
    whole: Any = [
        {"role": "user", "content": "hello"},
        *(each.model_dump() for each in first.output),
        {"role": "user", "content": "and on"},
    ]
    at_once = asked(whole, store=False)
    assert second.output_text == at_once.output_text
    assert second.usage is not None
    assert at_once.usage is not None
    assert second.usage.input_tokens == at_once.usage.input_tokens
    assert gpt.responses.retrieve(second.id) == second


def test_a_tool_is_called_and_answered_by_the_id_alone(gpt: openai.OpenAI) -> None:
    asked: Any = {"model": "m", "temperature": 0, "tools": [TOOL]}
    first = gpt.responses.create(input="How is it in Ulm?", tool_choice="required", **asked)
    (call,) = (each for each in first.output if each.type == "function_call")
    assert (call.name, call.arguments.replace(" ", "")) == ("weather", '{"town":"Ulm"}')
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "dry"}
    second = gpt.responses.create(
        input=[result],
        previous_response_id=first.id,
        max_output_tokens=9,
        tool_choice="none",
        **asked,
    )
    assert second.output_text
    kinds = [each.type for each in gpt.responses.input_items.list(second.id, order="asc").data]
    assert kinds == ["message", "function_call", "function_call_output"]


def test_in_the_background_it_says_the_same(gpt: openai.OpenAI) -> None:
    whole = gpt.responses.create(input="hello", **SHORT)
    polled = gpt.responses.create(input="hello", background=True, **SHORT)
    events = list(gpt.responses.create(input="hello", background=True, stream=True, **SHORT))
    followed: Any = events[-1]
    assert ended(gpt, polled.id).output_text == whole.output_text
    assert followed.response.output_text == whole.output_text
    rest = list(gpt.responses.retrieve(followed.response.id, stream=True, starting_after=3))
    assert rest == events[4:]


def test_a_long_one_is_cancelled(gpt: openai.OpenAI) -> None:
    asked: Any = {**SHORT, "max_output_tokens": 3000, "extra_body": {"ignore_eos": True}}
    stream = gpt.responses.create(input="hello", background=True, stream=True, **asked)
    first: Any = next(iter(stream))
    assert gpt.responses.cancel(first.response.id).status == "cancelled"
    assert "response.completed" not in [each.type for each in stream]
    assert gpt.responses.retrieve(first.response.id).status == "cancelled"
