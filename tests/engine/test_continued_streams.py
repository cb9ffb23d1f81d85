"""Streams that break off, of a model with `continuations`: another backend goes on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.backends.servers import Scripted, scripted
from tests.engine.test_api_tier import posted
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
  t: {{ url: {b}, engine: tgi }}
  x: {{ url: {b}, engine: openai, max_in_flight: 1 }}
models:
  m: {{ backends: [a, b], continuations: 1, balance: least_busy }}
  alone: {{ backends: [a], upstream_name: m, continuations: 1 }}
  mixed: {{ backends: [x, a], upstream_name: m, continuations: 1 }}
  u: {{ backends: [a, t], upstream_name: m, continuations: 1 }}
  off: {{ backends: [a, b], upstream_name: m }}
api: {{}}
"""
CHAT = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "m", "stream": True, "prompt": "Say: "}
OURS = {"add_generation_prompt": False, "continue_final_message": True}

Running = tuple[Gateway, Scripted, Scripted]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Running]:
    with (
        scripted(name="a") as a,
        scripted(name="b") as b,
        gateway(engine, CONFIG.format(a=a.url, b=b.url)) as it,
    ):
        yield it, a, b


@pytest.fixture
def three(running: Running) -> Running:
    it, a, b = running
    for each in (a, b):
        each.reset()
    it.forget_failures()
    return it, a, b


def events(text: str) -> list[dict[str, Any]]:
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(each) for each in lines]


def said(text: str) -> str:
    choices = [each for event in events(text) for each in event.get("choices", [])]
    return "".join(each.get("text") or each.get("delta", {}).get("content", "") for each in choices)


def asked_of(which: Scripted, path: str = "/v1/") -> list[dict[str, Any]]:
    found = [each for each in which.requests(path) if each["method"] == "POST"]
    return [json.loads(each["body"].encode("latin-1")) for each in found]


def lines_of(it: Gateway, id_: str, count: int) -> list[dict[str, Any]]:
    """The client's line, and what was asked for it, in order."""

    def found() -> list[dict[str, Any]]:
        lines = it.log()
        ids = {id_}
        while more := {each["id"] for each in lines if each.get("parent") in ids} - ids:
            ids |= more
        return [each for each in lines if each["id"] in ids]

    lines = until(lambda: found() if len(found()) >= count else None)
    return sorted(lines, key=lambda each: (each["id"] != id_, each["ts"]))


def begun_at_a(it: Gateway, path: str, body: dict[str, Any]) -> httpx.Response:
    """Each time it is another one's turn."""
    for _ in range(4):
        answer = it.post(path, body, timeout=60)
        if "a0" in answer.text:
            return answer
    raise AssertionError(answer.text)


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/completions", TEXT)]
)
def test_another_backend_goes_on_with_the_text(
    three: Running, path: str, body: dict[str, Any]
) -> None:
    it, a, b = three
    a.behave(path_prefix="/v1/", die="mid_stream")
    answer = begun_at_a(it, path, body)
    assert said(answer.text) == "a0 a1 b0 b1 b2 b3 b4 "
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "x-infergate-served-by" not in answer.headers
    marks = [each.get("infergate") for each in events(answer.text)]
    assert marks == [None] * 2 + [{"continued": 1}] * 5
    (rest,) = [each for each in asked_of(b) if "a0" in json.dumps(each)]
    if path == "/v1/completions":
        assert (rest["prompt"], set(OURS) & set(rest)) == ("Say: a0 a1", set())
    else:
        assert rest["messages"][1:] == [{"role": "assistant", "content": "a0 a1"}]
        assert {name: rest[name] for name in OURS} == OURS
    outer, first, second = lines_of(it, answer.headers["x-infergate-request-id"], 3)
    assert (outer["tier"], outer["status"], outer["error"]) == ("continue", 200, "")
    assert outer["why"] == "gone on with after a;"
    assert (first["backend"], first["error"]) == ("a", "stream_truncated")
    assert (second["backend"], second["error"]) == ("b", "")
    assert second["why"].startswith("goes on after a;")
    assert outer["gen_ai.usage.output_tokens"] is None
    assert first["gen_ai.usage.output_tokens"] > 0
    assert second["gen_ai.usage.output_tokens"] > 0


def test_what_both_used_is_counted(three: Running) -> None:
    it, a, _ = three
    key = it.new_key("counted")
    a.behave(path_prefix="/v1/", die="mid_stream")
    answer = it.post("/v1/chat/completions", {**CHAT, "model": "alone"}, key=key, timeout=60)
    lines = lines_of(it, answer.headers["x-infergate-request-id"], 3)

    def used() -> Any:
        told = json.loads(it.run("usage", "--json", "--by", "key").stdout)
        return [row for row in told["rows"] if row["key"] == lines[0]["key"]]

    rows = until(lambda: [row for row in used() if row["requests"] > 1])
    assert [row["requests"] for row in rows] == [2]


def test_the_rest_goes_where_its_kind_can_go_on(three: Running) -> None:
    """TGI is none of these, and neither is a server of which nobody knows what it is."""
    it, a, b = three
    for model in ("u", "mixed"):
        a.behave(path_prefix="/v1/", die="mid_stream", times=1)
        answer = begun_at_a(it, "/v1/chat/completions", {**CHAT, "model": model})
        assert said(answer.text) == "a0 a1 a0 a1 a2 a3 a4 "
    assert not [each for each in asked_of(b) if each["messages"][-1]["role"] == "assistant"]


def test_without_the_setting_a_cut_is_told_and_the_tier_is_not_asked(three: Running) -> None:
    it, a, b = three
    for each in (a, b):
        each.behave(path_prefix="/v1/", die="mid_stream")
    url, body = f"{it.url}/v1/chat/completions", {**CHAT, "model": "off"}
    came = b""
    with (
        httpx.stream("POST", url, json=body, headers=it.headers(), timeout=60) as answer,
        contextlib.suppress(httpx.RemoteProtocolError),
    ):
        for piece in answer.iter_raw():
            came += piece
    assert events(came.decode())[-1]["error"]["code"] == "stream_truncated"
    (line,) = lines_of(it, answer.headers["x-infergate-request-id"], 1)
    assert "tier" not in line
    assert len(posted(a)) + len(posted(b)) == 1


def test_what_is_not_streamed_goes_the_way_it_went(three: Running) -> None:
    it, _, _ = three
    answer = it.post("/v1/chat/completions", {**CHAT, "stream": False}, timeout=60)
    (line,) = lines_of(it, answer.headers["x-infergate-request-id"], 1)
    assert (answer.status_code, "tier" in line) == (200, False)


def test_where_nobody_can_go_on_the_cut_is_told(three: Running) -> None:
    it, a, b = three
    for each in (a, b):
        each.behave(path_prefix="/v1/", die="mid_stream")
    answer = it.post("/v1/chat/completions", CHAT, timeout=60)
    told = events(answer.text)
    assert told[-1]["error"]["code"] == "stream_truncated"
    assert len(posted(a)) + len(posted(b)) == 2


def test_an_error_before_the_stream_comes_as_it_is(three: Running) -> None:
    it, a, b = three
    for each in (a, b):
        each.behave(path_prefix="/v1/", status=422, body='{"error": {"message": "no"}}')
    answer = it.post("/v1/chat/completions", CHAT, timeout=60)
    assert (answer.status_code, answer.json()) == (422, {"error": {"message": "no"}})
    assert it.post("/v1/chat/completions", {**CHAT, "model": "none"}, timeout=60).status_code == 404


@pytest.mark.parametrize("header", ["+b,", "-", "+a,b,"])
def test_a_client_cannot_say_it_itself(three: Running, header: str) -> None:
    it, a, b = three
    headers = {"x-infergate-again": header, "x-infergate-continuations": "5"}
    for model in ("m", "off"):
        for _ in range(2):
            answer = it.post(
                "/v1/chat/completions", {**CHAT, "model": model}, headers=headers, timeout=60
            )
            assert answer.status_code == 200
    for each in (a, b):
        for request in each.requests():
            assert not set(OURS) & set(json.loads(request["body"]))
        assert asked_of(each)


def test_a_translated_stream_is_gone_on_with_too(three: Running) -> None:
    it, a, _ = three
    a.behave(path_prefix="/v1/chat", die="mid_stream", times=1)
    answer = it.post("/api/chat", {**CHAT, "model": "alone"}, timeout=60)
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert "".join(each["message"]["content"] for each in told) == "a0 a1 a0 a1 a2 a3 a4 "
    assert told[-1]["done"] is True
    lines = lines_of(it, answer.headers["x-infergate-request-id"], 4)
    assert sorted(each.get("tier", "") for each in lines) == ["", "", "continue", "dialect"]
