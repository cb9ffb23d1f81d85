"""What vLLM 0.32 and llama.cpp streamed, as it came; their tiny models say nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infergate.api.dialects import table
from infergate.api.dialects.translation import Translation
from tests import dialects

HELLO = [{"role": "user", "content": "hello"}]
CAPTURED = {path.stem: path for path in Path(__file__).with_name("captured").iterdir()}


def chunks(name: str) -> list[dict[str, Any]]:
    events = CAPTURED[name].read_text().strip().split("\n\n")
    assert events.pop() == "data: [DONE]"
    return [json.loads(each.removeprefix("data: ")) for each in events]


def made(path: str, **body: Any) -> Translation:
    found = table.translation("POST", path, {}, {"model": "m", "stream": True, **body})
    assert found is not None
    return found


def text_of(name: str) -> str:
    deltas = [each["choices"][0]["delta"] for each in chunks(name) if each["choices"]]
    return "".join(each.get("content") or "" for each in deltas)


@pytest.mark.parametrize("name", CAPTURED)
def test_each_dialect_says_what_was_said(name: str) -> None:
    usage = chunks(name)[-1]["usage"]
    asked = made("/v1/messages", messages=HELLO, max_tokens=9)
    message = dialects.events(dialects.streamed(asked, chunks(name)))
    dialects.check_anthropic(message)
    deltas = [each["delta"] for each in message if each["type"] == "content_block_delta"]
    assert "".join(each.get("text", "") for each in deltas) == text_of(name)
    assert message[-2]["usage"]["output_tokens"] == usage["completion_tokens"]
    assert message[-2]["delta"]["stop_reason"] == "max_tokens"

    response = dialects.events(dialects.streamed(made("/v1/responses", input="a"), chunks(name)))
    dialects.check_responses(response)
    assert response[-1]["response"]["usage"]["total_tokens"] == usage["total_tokens"]

    asked = made("/api/chat", messages=HELLO)
    lines = list(map(json.loads, dialects.streamed(asked, chunks(name)).splitlines()))
    assert "".join(each["message"]["content"] for each in lines) == text_of(name)
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == (
        "length",
        usage["completion_tokens"],
    )


def test_calls_of_tools_that_were_cut_off_and_are_no_objects() -> None:
    """vLLM's first call has `true` as its arguments here, and its second none at all."""
    asked = made("/v1/messages", messages=HELLO, max_tokens=9)
    events = dialects.events(dialects.streamed(asked, chunks("vllm-calls")))
    begun = [each["content_block"] for each in events if each["type"] == "content_block_start"]
    assert [each["name"] for each in begun] == ["weather", "weather"]
    assert len({each["id"] for each in begun}) == 2
    pieces = [
        each["delta"]["partial_json"] for each in events if "delta" in each and "index" in each
    ]
    assert list(map(json.loads, pieces)) == [{"raw_arguments": "true"}]
    lines = dialects.streamed(made("/api/chat", messages=HELLO), chunks("vllm-calls")).splitlines()
    calls = [json.loads(each)["message"].get("tool_calls") for each in lines]
    given = [each[0]["function"]["arguments"] for each in calls if each]
    assert given == [{"raw_arguments": "true"}, {}]
