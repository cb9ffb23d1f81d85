"""What real clients send: the shapes that they have, and what they make of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway

CONFIG = """
backends:
  v: {{ url: {v}, engine: vllm }}
  l: {{ url: {l}, engine: llamacpp }}
  o: {{ url: {o}, engine: ollama }}
models:
  vllm: {{ backends: [v] }}
  vllm-long: {{ backends: [v], upstream_name: vllm, timeouts: {{ first_byte: 99s }} }}
  llamacpp: {{ backends: [l] }}
  llamacpp-long: {{ backends: [l], upstream_name: llamacpp, timeouts: {{ first_byte: 99s }} }}
  ollama: {{ backends: [o] }}
  kept: {{ backends: [v], upstream_name: vllm, cache: {{ ttl: 1h }} }}
"""
"""One model for each engine; `-long` takes the long way. /v1/embeddings is kept for one of them, so
it leaves its short way elsewhere than the others."""


@dataclass
class Stack:
    gateway: Gateway
    backends: dict[str, Scripted]

    def stream(self, path: str, body: dict[str, Any], *, key: str | None = None) -> str:
        answer = self.gateway.post(path, {"stream": True, **body}, key=key)
        assert answer.status_code == 200, answer.text
        return answer.text

    def direct(self, path: str, body: dict[str, Any]) -> str:
        """What its engine itself answers."""
        url = self.backends[body["model"]].url + path
        return httpx.post(url, json={"stream": True, **body}).text


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Stack]:
    with ExitStack() as stack:
        backends = {
            kind: stack.enter_context(scripted(kind, models=[kind], name=kind))
            for kind in ("vllm", "llamacpp", "ollama")
        }
        config = CONFIG.format(**{kind[0]: each.url for kind, each in backends.items()})
        yield Stack(stack.enter_context(gateway(engine, config)), backends)


@pytest.fixture
def stack(running: Stack) -> Stack:
    for each in running.backends.values():
        each.reset()
    return running


UNASKED = {
    "absent": {},
    "null": {"stream_options": None},
    "empty": {"stream_options": {}},
    "false": {"stream_options": {"include_usage": False}},
    "nothing": {"stream_options": {"include_usage": None}},
    "continuous alone": {"stream_options": {"continuous_usage_stats": True}},
    "continuous, and no": {
        "stream_options": {"include_usage": False, "continuous_usage_stats": True}
    },
    "another": {"stream_options": {"include_obfuscation": False}},
    "long and odd": {"stream_options": {"x": ["é}" * 200, {"y": '"stream_options":{'}]}},
}
WAYS = ["short", "long", "large"]


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n")]
    return [json.loads(line) if line.startswith("{") else line for line in lines]


def asked(path: str, kind: str, way: str) -> dict[str, Any]:
    said = "é" * 10_000 if way == "large" else "hi"
    body: dict[str, Any] = {"model": kind + "-long" * (way == "long")}
    return body | (
        {"messages": [{"role": "user", "content": said}]} if "chat" in path else {"prompt": said}
    )


@pytest.mark.parametrize("shape", UNASKED)
@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_tokens_are_exact_and_the_stream_is_the_engine_s_own_whatever_its_options(
    stack: Stack, kind: str, shape: str
) -> None:
    """What the client did not ask for is taken out again, and nothing else."""
    options = UNASKED[shape].get("stream_options") or {}
    options = {n: v for n, v in options.items() if n != "continuous_usage_stats"}
    most = stack.gateway.new_key("most", "--max-tokens", "100")
    for path, key, way in (
        ("/v1/chat/completions", None, "short"),
        ("/v1/completions", most, "short"),
        ("/v1/completions", None, "long"),
        ("/v1/chat/completions", most, "large"),
    ):
        body = asked(path, kind, way)
        got = stack.stream(path, {**body, **UNASKED[shape]}, key=key)
        direct = stack.direct(path, {**body, "model": kind})
        assert events(got) == events(direct), (path, way)
        assert '"timings"' in got or "system_fingerprint" in got
        sent = json.loads(stack.backends[kind].requests(path)[-2]["body"].encode("latin-1"))
        assert sent["stream_options"] == {**options, "include_usage": True}
    assert [each["tokens"] for each in stack.gateway.log()[-4:]] == [[7, 5, 0]] * 4


@pytest.mark.parametrize("options", [{"include_usage": True}, {"include_usage": 1}])
@pytest.mark.parametrize("more", [{}, {"continuous_usage_stats": True}])
def test_who_asks_for_usage_gets_all_of_it(
    stack: Stack, options: dict[str, Any], more: dict[str, Any]
) -> None:
    for way in WAYS:
        body = asked("/v1/chat/completions", "vllm", way)
        wanted = {"stream_options": {**options, **more}}
        got = stack.stream("/v1/chat/completions", {**body, **wanted})
        assert got == stack.direct("/v1/chat/completions", {**body, "model": "vllm", **wanted})
        assert stack.gateway.log()[-1]["tokens"] == [7, 5, 0]


@pytest.mark.parametrize("finish", ["one", "both"])
@pytest.mark.parametrize("size", [1, 33, 5000])
def test_the_last_choice_waits_for_the_usage_however_the_bytes_are_cut(
    stack: Stack, size: int, finish: str
) -> None:
    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        return "data: " + json.dumps({"choices": choices, **more}, separators=(",", ":")) + "\n\n"

    def choice(index: int, reason: str | None) -> dict[str, Any]:
        return {"index": index, "delta": {"content": "x"}, "finish_reason": reason}

    events = [event([choice(0, None)]), event([choice(1, None)]), event([choice(0, "stop")])]
    events += [event([choice(1, None)]), event([choice(1, "stop")])] * (finish == "both")
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    last = event([], usage=usage, timings={"x": 1e-7}, metrics={"y": 1})
    text = "".join(events) + last + ": a comment\n\ndata: [DONE]\n\n"
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    body = "".join(f"{len(each):x}\r\n{each}\r\n" for each in pieces) + "0\r\n\r\n"
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    stack.backends["vllm"].behave(path_prefix="/v1/chat", raw=head + body)
    got = stack.stream("/v1/chat/completions", asked("/v1/chat/completions", "vllm", "short"))
    before, timed, after = got.partition(',"timings":{"x":1e-7}}\n\n')
    assert timed
    assert before + "}\n\n" == "".join(events)
    assert after == ": a comment\n\ndata: [DONE]\n\n"


LEAVES: dict[str, tuple[str, dict[str, str]]] = {
    "a query that goes on": ("?api-version=2024-10-21", {}),
    "a query that does not": ("?x=y", {}),
    "a coding that is none": ("", {"Content-Encoding": "identity"}),
    "the same in capitals": ("?beta=true", {"Content-Encoding": "Identity"}),
}


@pytest.mark.parametrize("case", LEAVES)
@pytest.mark.parametrize(
    "path", ["/v1/embeddings", "/v1/chat/completions", "/api/embed", "/v1/score"]
)
def test_a_request_that_leaves_the_short_way_early_is_still_its_caller_s(
    stack: Stack, path: str, case: str
) -> None:
    it = stack.gateway
    query, headers = LEAVES[case]
    models = ["ollama"] if path.startswith("/api") else ["vllm", "vllm-long", "kept"]
    key = it.new_key("some", "--models", ",".join(models), "--rpm", "1000", "--max-tokens", "9")
    for model in models:
        for size in (2, 9000, 200_000):
            said = "x" * size
            body = {"model": model, "input": said, "messages": [{"role": "user", "content": said}]}
            answer = it.post(path + query, body, key=key, headers=headers)
            assert answer.status_code == 200, (model, size, answer.text)
    other = it.new_key("other", "--models", "llamacpp")
    assert (
        it.post(path + query, {"model": models[0]}, key=other, headers=headers).status_code == 404
    )


def test_a_form_may_say_that_it_has_no_coding(stack: Stack) -> None:
    answer = httpx.post(
        stack.gateway.url + "/v1/audio/transcriptions",
        headers={**stack.gateway.headers(), "Content-Encoding": "identity"},
        files={"file": ("a.wav", b"x")},
        data={"model": "vllm"},
    )
    assert answer.json()["model"] == "vllm"
