"""Ollama's official client at servers of OpenAI's API."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx
import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergate.api.dialects import table
from infergate.api.dialects.translation import Translation
from infergate.api.refusal import Refused
from tests import dialects
from tests.chunk_streams import Told, streams
from tests.dialects import chunk, piece
from tests.json_near import ANYTHING, near

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Of a town.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    },
}


def backend(says: Any, broken: Any = None) -> tuple[ollama.Client, dialects.Backend]:
    double = dialects.Backend(says, broken, http=httpx)
    return ollama.Client("http://gateway", transport=httpx.MockTransport(double)), double


def asked(messages: Any = HELLO, **more: Any) -> dict[str, Any]:
    client, double = backend(dialects.answer(content="hi"))
    client.chat("m", messages, **more)
    assert double.target == "/v1/chat/completions"
    return double.asked


def test_a_chat_in_one_piece() -> None:
    client, double = backend(dialects.answer(content="hi", reasoning="Hm.", finish="length"))
    found = client.chat("m", HELLO)
    assert double.asked == {"model": "m", "messages": HELLO, "stream": False}
    assert (found.message.role, found.message.content) == ("assistant", "hi")
    assert found.message.thinking == "Hm."
    assert (found.model, found.done, found.done_reason) == ("m", True, "length")
    assert (found.prompt_eval_count, found.eval_count) == (11, 5)
    assert found.created_at is not None
    assert datetime.fromisoformat(found.created_at)
    assert (found.total_duration or 0) >= (found.eval_duration or 0) >= 0


def test_a_chat_in_lines() -> None:
    chunks = [
        chunk(role="assistant", content=None),
        chunk(reasoning_content="Hm."),
        chunk(content="hi "),
        chunk(content="there"),
        chunk(content="", finish="stop"),
        chunk(usage=dialects.USAGE),
    ]
    client, double = backend(chunks)
    lines = list(client.chat("m", HELLO, stream=True))
    assert double.asked["stream_options"] == {"include_usage": True}
    assert [each.message.content for each in lines] == ["", "hi ", "there", ""]
    assert [each.message.thinking for each in lines] == ["Hm.", None, None, None]
    assert [each.done for each in lines] == [False, False, False, True]
    assert (lines[-1].done_reason, lines[-1].eval_count) == ("stop", 5)
    client, _ = backend(chunks)
    hidden = list(client.chat("m", HELLO, stream=True, think=False))
    assert [each.message.thinking for each in hidden] == [None, None, None]


def test_calls_of_tools_come_whole() -> None:
    given = '{"town": "Ulm"}'
    chunks = [
        chunk(**piece(0, "", name="weather", id="a")),
        chunk(**piece(1, "", name="weather", id="b")),
        chunk(**piece(0, given[:5])),
        chunk(**piece(1, "{}")),
        chunk(**piece(0, given[5:])),
        chunk(content="", finish="tool_calls"),
    ]
    client, _ = backend(chunks)
    calls = [
        call
        for each in client.chat("m", HELLO, stream=True)
        for call in each.message.tool_calls or []
    ]
    assert [(each.function.name, each.function.arguments) for each in calls] == [
        ("weather", {"town": "Ulm"}),
        ("weather", {}),
    ]
    client, double = backend(dialects.answer(tool_calls=[dialects.call("a", "weather", given)]))
    found = client.chat("m", HELLO, tools=[WEATHER])
    assert [each.function.arguments for each in found.message.tool_calls or []] == [{"town": "Ulm"}]
    assert double.asked["tools"][0]["function"]["name"] == "weather"


def test_results_of_tools_find_their_calls_by_name() -> None:
    call = {"function": {"name": "weather", "arguments": {"town": "Ulm"}}}
    clock = {"function": {"name": "clock", "arguments": {}}}
    found = asked(
        [
            *HELLO,
            {"role": "assistant", "thinking": "Hm.", "tool_calls": [call, clock, call]},
            {"role": "tool", "tool_name": "clock", "content": "noon"},
            {"role": "tool", "tool_name": "weather", "content": "dry"},
            {"role": "tool", "content": "wet"},
        ]
    )
    first, second, third = found["messages"][1]["tool_calls"]
    assert found["messages"][1]["reasoning_content"] == "Hm."
    assert json.loads(first["function"]["arguments"]) == {"town": "Ulm"}
    assert [each["tool_call_id"] for each in found["messages"][2:]] == [
        second["id"],
        first["id"],
        third["id"],
    ]
    assert len({first["id"], second["id"], third["id"]}) == 3
    with pytest.raises(ollama.ResponseError, match="no call of a tool"):
        asked([*HELLO, {"role": "tool", "content": "wet"}])


def test_images_have_the_type_that_their_first_bytes_tell() -> None:
    shown = [{"role": "user", "content": "what?", "images": [b"\x89PNG\r\n", b"\xff\xd8\xff\xe0"]}]
    parts = asked(shown)["messages"][0]["content"]
    assert parts[0] == {"type": "text", "text": "what?"}
    starts = [each["image_url"]["url"].split(",")[0] for each in parts[1:]]
    assert starts == ["data:image/png;base64", "data:image/jpeg;base64"]


def test_options_are_parameters() -> None:
    options = {
        "num_predict": 7,
        "temperature": 0,
        "top_k": 3,
        "seed": 1,
        "stop": ["a"],
        "num_ctx": 9,
    }
    found = asked(options={**options, "repeat_penalty": 1.1}, keep_alive="5m")
    wanted = {"max_tokens": 7, "temperature": 0, "top_k": 3, "seed": 1, "stop": ["a"]}
    assert {**wanted, "repetition_penalty": 1.1, "repeat_penalty": 1.1}.items() <= found.items()
    assert not {"num_ctx", "keep_alive", "options"} & found.keys()
    assert "max_tokens" not in asked(options={"num_predict": -1})


def test_a_shape_of_the_answer() -> None:
    assert asked(format="json")["response_format"] == {"type": "json_object"}
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert asked(format=schema)["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.parametrize(("think", "effort"), [(True, None), (False, "none"), ("high", "high")])
def test_how_much_to_think(think: Any, effort: str | None) -> None:
    assert asked(think=think).get("reasoning_effort") == effort


def test_a_prompt_is_a_message_for_which_the_server_has_the_template() -> None:
    client, double = backend(dialects.answer(content="hi"))
    found = client.generate("m", "hello", system="Be kind.", images=[b"\x89PNG\r\n"])
    assert (found.response, found.done) == ("hi", True)
    system, user = double.asked["messages"]
    assert system == {"role": "system", "content": "Be kind."}
    assert user["content"][0] == {"type": "text", "text": "hello"}
    client, double = backend([chunk(content="hi"), chunk(content="", finish="stop")])
    lines = list(client.generate("m", "hello", stream=True))
    assert [each.response for each in lines] == ["hi", ""]


def test_a_raw_prompt_is_completed() -> None:
    text = {"choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}]}
    for more in ({"raw": True}, {"suffix": "end"}):
        client, double = backend(text)
        assert client.generate("m", "hello", **more).response == "hi"  # type: ignore[call-overload]
        assert (double.target, double.asked["prompt"]) == ("/v1/completions", "hello")
    assert double.asked["suffix"] == "end"
    client, _ = backend([text])
    lines = list(client.generate("m", "hello", raw=True, stream=True))
    assert [each.response for each in lines] == ["hi", ""]


@pytest.mark.parametrize(
    "more", [{"template": "{{ x }}"}, {"context": [1]}, {"raw": True, "images": [b"x"]}]
)
def test_what_cannot_be_had_is_refused_by_its_name(more: dict[str, Any]) -> None:
    client, _ = backend({})
    with pytest.raises(ollama.ResponseError, match=f"'{list(more)[-1]}'") as refused:
        client.generate("m", "hello", **more)
    assert refused.value.status_code == 400


def test_a_model_is_loaded_without_being_asked_anything() -> None:
    client, double = backend({"id": "m"})
    found = client.generate("m", keep_alive=0)
    assert (found.done, found.done_reason, found.response) == (True, "unload", "")
    assert double.target == "/v1/models/m"
    said = client.chat("m")
    assert (said.done_reason, said.message.content) == ("load", "")


def test_embeddings() -> None:
    rows = [{"index": 1, "embedding": [0.5, 1]}, {"index": 0, "embedding": [0.25, 0]}]
    client, double = backend({"data": rows, "usage": {"prompt_tokens": 7}})
    found = client.embed("m", ["a", "b"], dimensions=2)
    assert found.embeddings == [[0.25, 0], [0.5, 1]]
    assert found.prompt_eval_count == 7
    wanted = {"input": ["a", "b"], "dimensions": 2, "encoding_format": "float"}
    assert (double.target, double.asked) == ("/v1/embeddings", {"model": "m", **wanted})
    assert client.embeddings("m", "a").embedding == [0.25, 0]


def test_what_is_known_of_a_model() -> None:
    client, double = backend({"id": "org/m", "max_model_len": 4096, "created": 1})
    found = client.show("org/m")
    assert double.target == "/v1/models/org/m"
    assert found.modelinfo == {"general.architecture": "unknown", "unknown.context_length": 4096}
    assert found.capabilities == ["completion"]
    with pytest.raises(ollama.ResponseError) as refused:
        client.show("../files")
    assert refused.value.status_code == 404


def test_a_stream_that_breaks_off_ends_in_an_error_of_this_dialect() -> None:
    client, _ = backend([chunk(content="hi")], (502, {"message": "it is gone"}))
    with pytest.raises(ollama.ResponseError, match="it is gone"):
        list(client.chat("m", HELLO, stream=True))
    client, _ = backend([])
    with pytest.raises(ollama.ResponseError):
        list(client.chat("m", HELLO, stream=True))


PATHS = [entry.path for entry in table.ENTRIES if entry.path.startswith("/api/")]
FULL: dict[str, Any] = {
    "model": "m",
    "prompt": "p",
    "input": ["a"],
    "system": "s",
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u", "images": ["iVBO"]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "t",
            "tool_calls": [{"function": {"name": "f", "arguments": {}}}],
        },
        {"role": "tool", "tool_name": "f", "content": "r"},
    ],
    "tools": [WEATHER],
    "options": {"num_predict": 1, "stop": ["a"], "temperature": 0.5},
    "format": "json",
    "think": "low",
    "keep_alive": "5m",
    "dimensions": 3,
}


@given(near(FULL), st.sampled_from(PATHS))
def test_a_body_is_translated_or_refused(body: Any, path: str) -> None:
    with suppress(Refused):
        asked = table.translation("POST", path, {}, body)
        assert asked is not None
        assert asked.body.get("model", body.get("model", body.get("name"))) is not None


def made(**more: Any) -> Translation:
    found = table.translation("POST", "/api/chat", {}, {"model": "m", "messages": HELLO, **more})
    assert found is not None
    return found


@given(streams())
def test_any_stream_loses_nothing(told: Told) -> None:
    lines = list(map(json.loads, dialects.streamed(made(), told.chunks).splitlines()))
    *others, last = lines
    assert last["done"] is True
    assert not any(each["done"] for each in others)
    messages = [ollama.ChatResponse.model_validate(each).message for each in lines]
    assert "".join(each.content or "" for each in messages) == told.text
    assert "".join(each.thinking or "" for each in messages) == told.thoughts
    calls = [call.function.arguments for each in messages for call in each.tool_calls or []]
    assert calls == list(told.calls.values())


@given(streams(), st.data(), st.integers(0, 9), ANYTHING)
def test_wrong_chunks_and_broken_streams_end_in_one_last_line(
    told: Told, data: st.DataObject, after: int, message: Any
) -> None:
    chunks = [data.draw(near(each)) for each in told.chunks[:after]]
    lines = dialects.streamed(made(), chunks).splitlines()
    assert "error" in json.loads(lines[-1]) or json.loads(lines[-1])["done"] is True
    events = made().events()
    begun = b"".join(events.feed(each) for each in told.chunks[:after])
    ended = (begun + events.broken(502, {"message": message})).splitlines()
    assert list(json.loads(ended[-1])) == ["error"]
    assert events.feed(told.chunks[0]) + events.end() == b""


@given(near({"data": [{"index": 0, "embedding": [0.5]}], "usage": {}, "created": 1, "meta": {}}))
def test_a_wrong_answer_is_one_or_the_backends_fault(answer: Any) -> None:
    for path in PATHS:
        found = table.translation("POST", path, {}, FULL)
        assert found is not None
        with suppress(Refused):
            found.answer(answer)
