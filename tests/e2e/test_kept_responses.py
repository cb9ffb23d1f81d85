"""The official client at a real llama.cpp that is asked for chat completions alone: conversations
that go on by their ids, with tools; and answers that are made in the background."""

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
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


@pytest.fixture(scope="module")
def gpt(llama: Server) -> Iterator[openai.OpenAI]:
    config = f"""
backends: {{ chat: {{ url: {llama.url}, engine: tgi }} }}
models: {{ m: {{ backends: [chat], upstream_name: tiny-llama }} }}
api: {{ responses: {{}} }}
"""
    # Forked: the tier is another user, who may not enter the folder where a test's Python is.
    with gateway("embedded", config, forked=True) as it:
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
        # The client's helper wants one that is whole; this one is cut at nine tokens.
        last: Any = list(gpt.responses.create(input=given, stream=True, **SHORT, **more))[-1]
        answered: Response = last.response
        return answered

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


def test_what_a_tool_said_is_said_again(gpt: openai.OpenAI) -> None:
    """Its words are too few for a grammar of calls, so the client says what was called."""
    call = {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "a", "output": "dry"}
    given: Any = [{"role": "user", "content": "How is it in Ulm?"}, call, result]
    first = gpt.responses.create(input=given, tools=[TOOL], **SHORT)
    second = gpt.responses.create(input="and now?", previous_response_id=first.id, **SHORT)
    listed = gpt.responses.input_items.list(second.id, order="asc").data
    kinds = [each.type for each in listed]
    assert kinds == ["message", "function_call", "function_call_output", "message", "message"]
    whole: Any = [*given, first.output[0].model_dump(), {"role": "user", "content": "and now?"}]
    at_once = gpt.responses.create(input=whole, store=False, **SHORT)
    assert second.output_text == at_once.output_text


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
