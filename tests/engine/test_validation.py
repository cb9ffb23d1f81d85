"""What backends choke on is refused at the door, in words, as closely as the operator wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.access_log import tokens
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }} }}
models:
  m: [a]
  strict: {{ backends: [a], upstream_name: m, validation: strict }}
  loose: {{ backends: [a], upstream_name: m, validation: off }}
"""

One = tuple[Gateway, Scripted]
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}
USER = {"role": "user", "content": "hi"}


@pytest.fixture(scope="module")
def one(engine: str) -> Iterator[One]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        yield stack.enter_context(gateway(engine, CONFIG.format(a=a.url))), a


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [USER, {"content": "hi"}]}, "messages[1]"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [USER], "max_tokens": "nine"}, "max_tokens"),
        ({"messages": [USER], "seed": "abc"}, "seed"),
        ({"messages": [USER], "logit_bias": [1]}, "logit_bias"),
        ({"messages": [USER], "stream_options": 7}, "stream_options"),
        ({"messages": [USER], "stop": {}}, "stop"),
        ({"messages": [USER], "presence_penalty": []}, "presence_penalty"),
        ({"messages": [USER], "n": 129}, "n"),
        ({"messages": [USER], "n": 0}, "n"),
        ({"messages": [USER], "best_of": 1000}, "best_of"),
        ({"messages": [USER], "top_logprobs": 1000}, "top_logprobs"),
        ({"messages": [USER], "prompt_logprobs": -1}, "prompt_logprobs"),
        ({"messages": [USER], "stop": ["x"] * 65}, "stop"),
        ({"messages": [{"role": "user", "content": [IMAGE] * 101}]}, "messages"),
        ({"messages": [USER], "max_tokens": 1.5}, "max_tokens"),
        ({"messages": [USER], "temperature": "hot"}, "temperature"),
        ({"messages": [USER], "stream": "yes"}, "stream"),
        ({"messages": [USER], "tools": {}}, "tools"),
    ],
)
def test_lenient_refuses_what_no_backend_understands(one: One, body: dict, param: str) -> None:
    it, a = one
    a.reset()
    answer = it.post("/v1/chat/completions", {"model": "m", **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert a.requests() == []
    assert it.post("/v1/chat/completions", {"model": "loose", **body}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [USER], "temperature": 3},
        {"messages": []},
        {},
        {"messages": [{"role": "robot", "content": "hi"}]},
    ],
)
def test_strict_looks_at_ranges_and_roles_too(one: One, body: dict) -> None:
    it, _ = one
    assert it.post("/v1/chat/completions", {"model": "strict", **body}).status_code == 400
    assert it.post("/v1/chat/completions", {"model": "m", **body}).status_code == 200


@pytest.mark.parametrize(
    "more",
    [
        {"max_tokens": "100"},
        {"temperature": "0.7"},
        {"seed": None, "stop": ["a"] * 64, "logprobs": True, "top_logprobs": 0},
        {"logprobs": 5, "n": "2", "best_of": 128, "stream_options": None},
        {"messages": [{"role": "user", "content": [IMAGE] * 100}]},
    ],
)
def test_lenient_takes_what_backends_take(one: One, more: dict) -> None:
    it, a = one
    a.reset()
    body = json.dumps({"model": "m", "messages": [USER], **more})
    assert it.post("/v1/chat/completions", body.encode()).status_code == 200
    assert [each["body"] for each in a.requests()] == [body]


def test_what_is_usual_passes_both(one: One) -> None:
    it, _ = one
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [
        {"role": "system", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, image]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
    ]
    for model in ("m", "strict"):
        body = {"model": model, "messages": messages, "temperature": 0, "n": 1, "max_tokens": None}
        assert it.post("/v1/chat/completions", body).status_code == 200


def big(model: str, **more: object) -> dict:
    image = "data:image/png;base64," + "A" * 300_000
    content = [{"type": "image_url", "image_url": {"url": image}}]
    return {"messages": [{"role": "user", "content": content}], **more, "model": model}


def test_a_large_body_goes_through_unchanged_but_for_the_model(one: One) -> None:
    it, a = one
    a.reset()
    more = {
        "text": 'a "model": "x" in a \\ string',
        "é": "ü\U0001f600",
        "long": "é" * 900,
        "seed": 1.0,
    }
    body = json.dumps(big("loose", **more), ensure_ascii=False)
    assert it.post("/v1/chat/completions", body.encode()).status_code == 200
    sent = a.requests()[0]["body"].encode("latin-1").decode()
    assert sent == body.replace('"model": "loose"', '"model": "m"')


def test_usage_of_a_large_streamed_request_is_asked_for(one: One) -> None:
    it, a = one
    a.reset()
    answer = it.post("/v1/chat/completions", big("m", stream=True))
    assert answer.text.endswith("data: [DONE]\n\n")
    assert json.loads(a.requests()[0]["body"])["stream_options"] == {"include_usage": True}
    assert tokens(it.log()[-1]) == [7, 5, 0]


PADDING = '"pad":"' + "x" * 5000 + '"'


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ('{"model":"m",' + PADDING + ',"model":"other"}', "model"),
        ('{"model":"m",' + PADDING + ',"Model":"other"}', "model"),
        ('{"model":"m",' + PADDING + ',"\\u006dodel":"other"}', "model"),
        ('{"\\u006dodel":7,' + PADDING + "}", "model"),
        ('{"model":"m",' + PADDING + ',"stream":"yes"}', "stream"),
        ('{"model":"m",' + PADDING + ',"messages":{}}', "messages"),
        ('{"model":"m",' + PADDING + "}}", None),
        ('{"model":"m",' + PADDING + "} {}", None),
        ('{"model":"m",' + PADDING + ',"x":"\\"}', None),
        ('[{"model":"m",' + PADDING + "}]", None),
        ('{"model":"m",' + PADDING + ',"deep":' + "[" * 200 + '"x"' + "]" * 200 + "}", None),
    ],
)
def test_a_large_body_cannot_fool_the_gateway_either(one: One, body: str, param: str) -> None:
    it, a = one
    a.reset()
    answer = it.post("/v1/chat/completions", body.encode())
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert a.requests() == []


@pytest.mark.parametrize(
    "body",
    [
        '{"a":{"model":"other"},"model":"m",' + PADDING + "}",
        '{"x":["model"],"model" : "m" ,' + PADDING + "}",
        '{"x":"\\\\","model":"m","y":"\\\\\\"",' + PADDING + "}",
        '{"model":"m","many":[' + ",".join(['"s"'] * 3000) + "]}",
        '{"model":"m","tokens":[' + ",".join(["7"] * 3000) + "]}",
    ],
)
def test_a_large_body_that_means_one_thing_passes_unchanged(one: One, body: str) -> None:
    it, a = one
    a.reset()
    assert it.post("/v1/completions", body.encode()).status_code == 200
    assert a.requests("/v1/completions")[0]["body"] == body
