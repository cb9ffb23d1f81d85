"""Requests of Anthropic's official client, as a server of OpenAI's API gets them."""

from __future__ import annotations

from typing import Any

import anthropic
import jsonschema_rs
import pytest
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter

from tests import dialects

OPENAIS = jsonschema_rs.validator_for(
    TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming).json_schema()
)
HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {
    "name": "weather",
    "description": "Of a town.",
    "input_schema": {"type": "object", "properties": {"town": {"type": "string"}}},
}
OLD = {"anthropic-version": "2023-06-01"}


def asked(messages: Any = HELLO, **more: Any) -> dict[str, Any]:
    """What the backend is asked for a request of the official client."""
    backend = dialects.Backend(dialects.answer(content="hi"))
    client = anthropic.Anthropic(
        api_key="k", base_url="http://gateway", http_client=backend.client(), max_retries=0
    )
    client.messages.create(model="m", messages=messages, **{"max_tokens": 9, **more})
    assert backend.target == "/v1/chat/completions"
    OPENAIS.validate({**backend.asked, "stream": False})
    return backend.asked


def refusal(messages: Any = HELLO, **more: Any) -> str:
    with pytest.raises(anthropic.BadRequestError) as refused:
        asked(messages, **more)
    body = refused.value.body
    assert isinstance(body, dict)
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    return str(body["error"]["message"])


def user(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(blocks)}]


def test_what_a_plain_request_asks() -> None:
    assert asked() == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 9,
        "stream": False,
    }


def test_system_blocks_are_the_first_message_wherever_they_stand() -> None:
    system = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
    between = [*HELLO, {"role": "system", "content": "Be short."}]
    assert asked(between, system=system)["messages"] == [
        {"role": "system", "content": "Be kind.\n\nBe short."},
        {"role": "user", "content": "hello"},
    ]


def test_settings_that_the_older_version_has() -> None:
    sampling = {"temperature": 0.5, "top_p": 0.9, "top_k": 4}
    found = asked(
        extra_headers=OLD,
        extra_body=sampling,
        stop_sequences=["END"],
        metadata={"user_id": "u1"},
    )
    assert {**sampling, "stop": ["END"], "user": "u1"}.items() <= found.items()


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_the_newer_version_refuses_to_sample_otherwise(name: str) -> None:
    assert refusal(extra_body={name: 1}) == f"{name}: Extra inputs are not permitted"


def test_the_newer_version_refuses_an_assistants_documents_and_a_users_citations() -> None:
    document = {
        "type": "document",
        "source": {"type": "text", "data": "x", "media_type": "text/plain"},
    }
    assert "messages.1.content.0" in refusal([*HELLO, {"role": "assistant", "content": [document]}])
    assert asked([*HELLO, {"role": "assistant", "content": [document]}], extra_headers=OLD)
    cited = {"type": "text", "text": "x", "citations": [{"type": "char_location"}]}
    assert "messages.0.content.0.citations" in refusal(user(cited))
    assert asked(user({**cited, "citations": []}))


def test_images_and_documents() -> None:
    png = {"type": "base64", "media_type": "image/png", "data": "aaaa"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "bbbb"}
    plain = {"type": "text", "media_type": "text/plain", "data": "Once upon a time"}
    inner = {"type": "content", "content": [{"type": "text", "text": "in"}]}
    found = asked(
        user(
            {"type": "image", "source": png},
            {"type": "image", "source": {"type": "url", "url": "http://a/b.png"}},
            {"type": "document", "source": pdf, "title": "report.pdf"},
            {"type": "document", "source": plain, "title": "Tale", "context": "A story."},
            {"type": "document", "source": inner},
            {
                "type": "search_result",
                "source": "http://s",
                "title": "Found",
                "content": [{"type": "text", "text": "words"}],
            },
        )
    )
    file = {"filename": "report.pdf", "file_data": "data:application/pdf;base64,bbbb"}
    assert found["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}},
        {"type": "image_url", "image_url": {"url": "http://a/b.png"}},
        {"type": "text", "text": "Document: report.pdf"},
        {"type": "file", "file": file},
        {"type": "text", "text": "Document: Tale"},
        {"type": "text", "text": "A story."},
        {"type": "text", "text": "Once upon a time"},
        {"type": "text", "text": "in"},
        {"type": "text", "text": "Search result: Found (http://s)"},
        {"type": "text", "text": "words"},
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "url", "url": "http://a/b.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "container_upload", "file_id": "f"},
    ],
)
def test_what_only_anthropic_has_is_refused_with_its_place(block: dict[str, Any]) -> None:
    assert "'messages.0.content.0" in refusal(user(block))


def test_results_of_parallel_tools_stand_right_behind_their_calls() -> None:
    png = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aa"}}
    found = asked(
        [
            *HELLO,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "weather", "input": {"town": "Ulm"}},
                    {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Here."},
                    {"type": "tool_result", "tool_use_id": "t2", "content": [png]},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": "dark",
                        "is_error": True,
                    },
                ],
            },
            {"role": "user", "content": "Go on."},
        ],
        tools=[WEATHER],
    )
    first = dialects.call("t1", "weather", '{"town":"Ulm"}')
    assert found["messages"][1:] == [
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Hm.",
            "tool_calls": [first, dialects.call("t2", "weather", "{}")],
        },
        {"role": "tool", "tool_call_id": "t2", "content": ""},
        {"role": "tool", "tool_call_id": "t1", "content": "Error: dark"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Here."},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aa"}},
                {"type": "text", "text": "Go on."},
            ],
        },
    ]


def test_a_call_without_words_has_no_content() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1"}
    found = asked([*HELLO, {"role": "assistant", "content": [use]}, *user(result)], tools=[WEATHER])
    assert found["messages"][1]["content"] is None
    assert found["messages"][2] == {"role": "tool", "tool_call_id": "t1", "content": ""}
    assert len(found["messages"]) == 3


@pytest.mark.parametrize(
    ("choice", "becomes"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            {
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
                "parallel_tool_calls": False,
            },
        ),
    ],
)
def test_tools_and_the_choice_among_them(choice: Any, becomes: dict[str, Any]) -> None:
    found = asked(tools=[{**WEATHER, "strict": True}], tool_choice=choice)
    function = {
        "name": "weather",
        "description": "Of a town.",
        "parameters": WEATHER["input_schema"],
        "strict": True,
    }
    assert found["tools"] == [{"type": "function", "function": function}]
    chosen = {name: found[name] for name in found if name in ("tool_choice", "parallel_tool_calls")}
    assert chosen == becomes


def test_a_tool_that_anthropic_runs_is_refused_by_its_name() -> None:
    search = {"type": "web_search_20260318", "name": "web_search"}
    assert "web_search_20260318" in refusal(tools=[search])


@pytest.mark.parametrize(
    ("more", "effort"),
    [
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32000}}, "high"),
        ({"output_config": {"effort": "max"}}, "high"),
        ({"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}}, "low"),
    ],
)
def test_how_much_to_think(more: dict[str, Any], effort: str | None) -> None:
    assert asked(**more).get("reasoning_effort") == effort


def test_a_shape_of_the_answer() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    found = asked(output_config={"format": {"type": "json_schema", "schema": schema}})
    named = {"name": "output", "schema": schema, "strict": True}
    assert found["response_format"] == {"type": "json_schema", "json_schema": named}


def test_an_answer_that_was_begun_is_gone_on_with() -> None:
    found = asked([*HELLO, {"role": "assistant", "content": "The best is ("}])
    assert found["messages"][-1] == {"role": "assistant", "content": "The best is ("}
    assert found["continue_final_message"] is True
    assert found["add_generation_prompt"] is False


def test_tokens_are_counted_by_a_completion_of_one() -> None:
    backend = dialects.Backend(dialects.answer(content="h"))
    client = anthropic.Anthropic(
        api_key="k", base_url="http://gateway", http_client=backend.client(), max_retries=0
    )
    counted = client.messages.count_tokens(
        model="m",
        messages=[{"role": "user", "content": "hello"}],
        tools=[WEATHER],  # type: ignore[list-item]
        tool_choice={"type": "any"},
    )
    assert counted.input_tokens == 11
    assert backend.asked["max_tokens"] == 1
    assert backend.asked["tool_choice"] == "auto"
    assert len(backend.asked["tools"]) == 1
