"""What a request for a response asks of servers that have chat completions only."""

from __future__ import annotations

from typing import Any

import pytest

from infergate.api.dialects.responses.translations import Responses
from tests import dialects
from tests.unit.api.responses_client import ULM, WEATHER, asked, refusal


def test_what_a_plain_request_asks() -> None:
    hello = [{"role": "user", "content": "hello"}]
    assert asked() == {"model": "m", "messages": hello, "stream": False}


def test_settings() -> None:
    found = asked(
        [
            {"role": "user", "content": "hello"},
            {"role": "developer", "content": [{"type": "input_text", "text": "Be short."}]},
        ],
        instructions="Be kind.",
        max_output_tokens=9,
        temperature=0,
        top_p=0.5,
        user="u",
        reasoning={"effort": "xhigh"},
        text={"format": {"type": "json_schema", "name": "a", "schema": {}, "strict": True}},
        include=["reasoning.encrypted_content"],
        store=True,
    )
    shape = {"name": "a", "schema": {}, "strict": True}
    assert found == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be kind.\n\nBe short."},
            {"role": "user", "content": "hello"},
        ],
        "stream": False,
        "max_tokens": 9,
        "temperature": 0,
        "top_p": 0.5,
        "user": "u",
        "reasoning_effort": "high",
        "response_format": {"type": "json_schema", "json_schema": shape},
    }


def test_a_conversation_with_tools_and_pictures() -> None:
    picture = {"type": "input_image", "image_url": "http://a/b.png", "detail": "low"}
    found = asked(
        [
            {"role": "user", "content": [{"type": "input_text", "text": "look"}, picture]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"role": "assistant", "content": "I look."},
            {"type": "function_call", "call_id": "a", "name": "weather", "arguments": ULM},
            {"type": "function_call", "call_id": "b", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "b", "output": [picture]},
            {"type": "function_call_output", "call_id": "a", "output": "dry"},
        ],
        tools=[WEATHER],
    )
    image = {"type": "image_url", "image_url": {"url": "http://a/b.png", "detail": "low"}}
    calls = [dialects.call("a", "weather", ULM), dialects.call("b", "weather", "{}")]
    assert found["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Hm.",
            "tool_calls": calls,
        },
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "tool", "tool_call_id": "a", "content": "dry"},
        {"role": "user", "content": [image]},
    ]


def test_files_are_data() -> None:
    file = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,a"}
    found = asked([{"role": "user", "content": [file]}])
    wanted = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,a"}
    assert found["messages"][0]["content"] == [{"type": "file", "file": wanted}]


@pytest.mark.parametrize(
    ("choice", "becomes"),
    [
        ("required", "required"),
        (
            {"type": "function", "name": "weather"},
            {"type": "function", "function": {"name": "weather"}},
        ),
        (
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "weather"}],
            },
            "auto",
        ),
    ],
)
def test_tools_and_the_choice_among_them(choice: Any, becomes: Any) -> None:
    other = {**WEATHER, "name": "clock"}
    found = asked(tools=[WEATHER, other], tool_choice=choice, parallel_tool_calls=False)
    function = {name: value for name, value in WEATHER.items() if name != "type"}
    assert found["tools"][0] == {"type": "function", "function": function}
    assert len(found["tools"]) == (1 if becomes == "auto" else 2)
    assert (found["tool_choice"], found["parallel_tool_calls"]) == (becomes, False)


@pytest.mark.parametrize(
    "more",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "custom", "name": "apply_patch"}]},
    ],
)
def test_what_cannot_be_had_is_refused_by_its_name(more: dict[str, Any]) -> None:
    ((name, value),) = more.items()
    wanted = f"the tool '{value[0]['type']}'" if name == "tools" else f"'{name}'"
    assert wanted in refusal(**more)


def test_an_item_by_its_id_is_refused() -> None:
    assert "not kept" in refusal([{"type": "item_reference", "id": "msg_1"}])


def test_who_keeps_answers_can_go_on_with_them() -> None:
    first = Responses({}, {"model": "m", "input": "hello"})
    answer = dialects.answer(content="hi", tool_calls=[dialects.call("a", "weather", ULM)])
    kept = [*first.items, *first.answer(answer)["output"]]
    result = {"type": "function_call_output", "call_id": "a", "output": "dry"}
    body = {"model": "m", "previous_response_id": "resp_1", "input": [result]}
    second = Responses({}, body, before=kept)
    assert second.body["messages"] == [
        {"role": "user", "content": "hello"},
        {
            "role": "assistant",
            "content": "hi",
            "tool_calls": [dialects.call("a", "weather", ULM)],
        },
        {"role": "tool", "tool_call_id": "a", "content": "dry"},
    ]
