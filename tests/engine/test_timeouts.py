"""How long a backend may take for its first byte, and for a pause; and who says so."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import Scripted, scripted
from tests.engine.conftest import Pair, as_new
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm, headers: {{ x-tenant: of-a }} }}
  b: {{ url: {b}, engine: vllm, headers: {{ x-tenant: of-b }} }}
models:
  m: [a]
  two: {{ backends: [a, b], upstream_name: m }}
  kept: {{ backends: [a], upstream_name: m, cache: {{ completions: true }} }}
  hedged: {{ backends: [a, b], upstream_name: m, hedge: {{ extra_load: 1 }} }}
  paused:
    backends: [a]
    upstream_name: m
    timeouts: {{ first_byte: 30s, idle: 700ms, dynamic: false }}
  both:
    backends: [a]
    upstream_name: m
    timeouts: {{ first_byte: 700ms, idle: 700ms, dynamic: false }}
  rules: {{ backends: [a], upstream_name: m, timeouts: {{}} }}
  qwen-32b: {{ backends: [a], upstream_name: m, timeouts: {{}} }}
  large: {{ backends: [a], upstream_name: m, size: 8x7B, timeouts: {{ maximum: 20m }} }}
  fixed: {{ backends: [a], upstream_name: m, timeouts: {{ dynamic: false, default: 100s }} }}
timeouts: {{ first_byte: 700ms, dynamic: false }}
endpoints: {{ /v1/rerank: {{ first_byte: 25s, dynamic: false }} }}
breaker: {{ failures: 1000, error_rate: 1 }}
"""


ASKED = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/completions": {"prompt": "hi"},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    "/v1/embeddings": {"input": "hi"},
}


def rule(it: Gateway) -> str:
    """Of the last request, as the log has it."""
    found = [each for each in it.log()[-1]["why"].split(";") if each.startswith("first byte ")]
    return found[-1]


def until_it_breaks_off(it: Gateway, model: str) -> str:
    """What comes of a stream until its connection is broken."""
    body = {"model": model, "stream": True, **ASKED["/v1/chat/completions"]}
    asked = httpx.stream(
        "POST", f"{it.url}/v1/chat/completions", headers=it.headers(), json=body, timeout=60
    )
    text = ""
    with asked as answer, contextlib.suppress(httpx.RemoteProtocolError):
        for piece in answer.iter_text():
            text += piece
    return text


def tried(it: Gateway, **body: Any) -> list[tuple[str, int, float | None]]:
    """The attempts of a request to the model `two` that needed another one."""

    def both() -> list[dict[str, Any]]:
        it.forget_failures()  # else nobody asks it again
        assert it.chat("two", **body).status_code == 200
        attempts: list[dict[str, Any]] = it.log()[-1]["attempts"]
        return attempts if len(attempts) == 2 else []

    return [(each["backend"], each["status"], each["header_time"]) for each in until(both)]


def all_is_free(it: Gateway) -> bool:
    return not any(each["in_flight"] for each in it.status()["backends"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("model", ["m", "kept"])
def test_a_first_byte_that_is_late_is_a_504_in_the_dialect_though_a_pause_may_be_longer(
    own: Pair, model: str, path: str, stream: bool
) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/", hang=True)
    said = {"stream": True} if stream and path != "/v1/embeddings" else {}
    answer = it.post(path, {"model": model, **ASKED[path], **said})
    assert answer.status_code == 504
    error = answer.json()["error"]
    assert "gave no answer in time" in error["message"]
    assert ("code" in error) == (path != "/v1/messages")
    line = it.log()[-1]
    assert (line["status"], line["error"]) == (504, "backend_failed")
    (attempt,) = line["attempts"]
    assert attempt["address"] == "", "our own server is none"
    assert (attempt["backend"], attempt["status"], attempt["header_time"]) == ("a", 504, None)
    assert attempt["response_time"] >= 0.6
    assert "first byte 0.7 s: timeouts.first_byte" in line["why"]
    until(lambda: a.stats()["open"] == 0)
    assert all_is_free(it)


@pytest.mark.parametrize("stream", [False, True])
def test_a_late_first_byte_is_asked_of_the_next_backend(own: Pair, stream: bool) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/", hang=True)
    first, second = tried(it, stream=stream)
    assert first == ("a", 504, None)
    assert second[:2] == ("b", 200)
    assert "a failed 504" in it.log()[-1]["why"]


def test_a_pause_may_be_longer_than_the_first_byte_may_take(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/", first_byte_delay_s=1.5, chunk_delay_s=1.0)
    assert it.chat(stream=True).text.endswith("data: [DONE]\n\n")
    assert it.chat().json()["choices"][0]["message"]["content"] == "a"
    lines = it.log()[-2:]
    assert [each["error"] for each in lines] == ["", ""]
    assert all(each["request_time"] > 1.5 for each in lines)


def test_a_pause_that_is_too_long_ends_the_answer_though_the_first_byte_may_take_longer(
    own: Pair,
) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/", delay_s=1.5)
    assert it.chat("paused", stream=True).text.endswith("data: [DONE]\n\n")
    a.reset()
    a.behave(path_prefix="/v1/", hang="mid_stream")
    text = until_it_breaks_off(it, "paused")
    assert "stream_truncated" in text
    assert "[DONE]" not in text
    assert it.log()[-1]["error"] == "stream_truncated"
    with pytest.raises(httpx.RemoteProtocolError):
        it.chat("paused")
    until(lambda: it.log()[-1]["error"] == "answer_truncated")
    until(lambda: a.stats()["open"] == 0)
    assert all_is_free(it)


def test_a_client_that_leaves_a_watched_request_frees_the_backend(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/", hang=True)
    with pytest.raises(httpx.ReadTimeout):
        it.post("/v1/chat/completions", {"model": "paused", "messages": []}, timeout=0.5)
    until(lambda: a.requests("/v1/chat") and a.stats()["open"] == 0)
    until(lambda: all_is_free(it))


def test_what_a_watched_backend_answers_goes_on_as_it_is(own: Pair) -> None:
    it, a, _ = own
    for status in (200, 400, 429, 500, 503):
        a.reset()
        a.behave(path_prefix="/v1/", status=status, body='{"own": 1}', headers={"x-engine": "yes"})
        watched, plain = it.chat("m"), it.chat("both")
        assert watched.status_code == plain.status_code == status
        assert watched.headers.keys() == plain.headers.keys()
        if status not in (429, 503):
            assert watched.json() == plain.json() == {"own": 1}
    a.reset()
    it.chat("m")
    it.chat("both")
    first, second = (dict(each["headers"]) for each in a.requests("/v1/chat"))
    assert {**first, "x-request-id": ""} == {**second, "x-request-id": ""}


def test_a_backend_that_is_not_there_is_tried_elsewhere_as_ever(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/", die="before_headers")
    first, second = tried(it)
    assert first == ("a", 502, None)
    assert second[:2] == ("b", 200)


def test_a_first_byte_that_never_came_opens_the_breaker_of_that_backend(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/", hang=True)
    tried(it)
    until(lambda: "a" in json.dumps(read(Home(it.home).socket).breakers))
    a.reset()


def test_a_hedged_request_keeps_its_first_byte_s_time(own: Pair) -> None:
    it, a, b = own
    for backend in (a, b):
        backend.behave(path_prefix="/v1/", hang=True)
    answer = it.post("/v1/embeddings", {"model": "hedged", "input": "hi"})
    assert answer.status_code == 504
    assert {each["status"] for each in it.log()[-1]["attempts"]} == {504}
    until(lambda: a.stats()["open"] == b.stats()["open"] == 0)


NOT_ITS_OWN = [
    ("/v1/chat/completions", "n_predict"),
    ("/v1/chat/completions", "max_output_tokens"),
    ("/v1/completions", "num_predict"),
    ("/v1/completions", "max_completion_tokens"),
    ("/v1/responses", "max_tokens"),
]
"""Words for the length of an answer that the endpoint's engines go on without."""


def test_what_is_asked_for_says_how_long_the_first_byte_may_take(own: Pair) -> None:
    it, _, _ = own

    def says(model: str, path: str = "/v1/chat/completions", **body: Any) -> str:
        asked = {**ASKED.get(path, {}), "model": model, **body}
        assert it.post(path, asked).status_code == 200
        return rule(it)

    assert says("rules", stream=True) == "first byte 90 s: models.rules.timeouts.default"
    assert says("rules") == "first byte 600 s: not streamed, and no max_tokens"
    assert says("rules", max_tokens=50) == "first byte 90 s: models.rules.timeouts.default"
    assert says("rules", "/v1/embeddings") == "first byte 90 s: models.rules.timeouts.default"
    said = "not streamed, 2000 tokens at 40 ms, as usual"
    assert says("rules", max_tokens=2000) == f"first byte 360 s: {said}"
    both = {"max_tokens": 2000, "max_completion_tokens": 10}
    assert says("rules", **both) == f"first byte 360 s: {said}"
    assert says("rules", max_tokens=10, n_predict=2000) == f"first byte 360 s: {said}"
    for path, word in NOT_ITS_OWN:
        said = "first byte 600 s: not streamed, and no max_tokens"
        assert says("rules", path, **{word: 10}) == said, "no engine reads it there"
    said = "not streamed, 2000 tokens at 160 ms, by its size"
    assert says("qwen-32b", max_tokens=2000) == f"first byte 600 s: {said}"
    said = "not streamed, 2000 tokens at 200 ms, by its size"
    assert says("large", max_tokens=2000) == f"first byte 1200 s: {said}"
    long = [{"role": "user", "content": "long " * 20_000}]
    said = says("rules", messages=long, stream=True)
    assert said.startswith("first byte 360 s: a prompt of about 250")
    said = says("rules", messages=long, max_tokens=10)
    assert said.startswith("first byte 360 s: not streamed, 10 tokens at 40 ms, as usual, a prompt")
    assert says("fixed") == "first byte 100 s: models.fixed.timeouts.default"
    assert says("m", max_tokens=2000) == "first byte 0.7 s: timeouts.first_byte"
    said = "first byte 25 s: endpoints./v1/rerank.first_byte"
    assert says("m", "/v1/rerank", query="q", documents=["d"]) == said
    line = it.log()[-1]
    told = it.run("explain", line["id"]).stdout
    assert "first byte  25 s: endpoints./v1/rerank.first_byte" in told


USUAL = """
backends:
  a: {{ url: {a}, engine: vllm, headers: {{ x-tenant: of-a }} }}
  b: {{ url: {b}, engine: vllm, headers: {{ x-tenant: of-b }} }}
  o: {{ url: {o}, engine: ollama }}
models:
  m: [a]
  o: [o]
  two: [a, b]
  long: {{ backends: [a, b], upstream_name: m, timeouts: {{ dynamic: false }} }}
  watched: {{ backends: [a, b], upstream_name: m, timeouts: {{ first_byte: 30s, dynamic: false }} }}
  kept: {{ backends: [a], upstream_name: m, cache: {{ ttl: 1h }} }}
  unchecked: {{ backends: [a], upstream_name: m, validation: "off" }}
  Qwen3-30B-A3B: {{ backends: [a], upstream_name: m }}
  Kimi-K2-1T-A32B: {{ backends: [a], upstream_name: m }}
  qwen3-0.5b: {{ backends: [a], upstream_name: m }}
breaker: {{ failures: 1000, error_rate: 1 }}
"""


@pytest.fixture(scope="module")
def usual(engine: str) -> Iterator[Pair]:
    with ExitStack() as stack:
        a, b = (stack.enter_context(scripted(name=name)) for name in "ab")
        o = stack.enter_context(scripted(engine="ollama", models=["o"], name="o"))
        text = USUAL.format(a=a.url, b=b.url, o=o.url)
        yield stack.enter_context(gateway(engine, text)), a, b


@pytest.mark.long
def test_without_a_word_in_the_file_both_ways_keep_the_rules(usual: Pair) -> None:
    it, _, _ = usual
    for body, said in (
        ({"max_tokens": 5}, "90 s: timeouts.default"),
        ({"stream": True}, "90 s: timeouts.default"),
        ({}, "600 s: not streamed, and no max_tokens"),
        ({"max_tokens": 3000}, "360 s: not streamed, 3000 tokens at 40 ms, as usual"),
        (
            {"max_tokens": 3000, "max_completion_tokens": 10},
            "360 s: not streamed, 3000 tokens at 40 ms, as usual",
        ),
    ):
        assert it.chat(**body).status_code == 200
        assert rule(it) == f"first byte {said}"
    for path, word in NOT_ITS_OWN:
        assert it.post(path, {"model": "m", **ASKED.get(path, {}), word: 10}).status_code == 200
        assert rule(it) == "first byte 600 s: not streamed, and no max_tokens", (path, word)
    for endless in (-1, 0, None):
        assert it.chat("unchecked", max_tokens=endless).status_code == 200
        assert rule(it) == "first byte 600 s: not streamed, and no max_tokens", endless
    for model in ("m", "kept"):  # whose answers nginx looks up first
        long = {"model": model, "input": "long " * 14_000}
        assert it.post("/v1/embeddings", long).status_code == 200
        assert rule(it).startswith("first byte 360 s: a prompt of about 175")
    messages = ASKED["/v1/chat/completions"]
    for body, said in (
        ({}, "90 s: timeouts.default"),
        ({"stream": False}, "600 s: not streamed, and no max_tokens"),
        ({"stream": False, "num_predict": 10}, "600 s: not streamed, and no max_tokens"),
        ({"stream": False, "max_tokens": 10}, "600 s: not streamed, and no max_tokens"),
        ({"stream": False, "options": None}, "600 s: not streamed, and no max_tokens"),
        (
            {"stream": False, "options": {"num_predict": 3000}},
            "360 s: not streamed, 3000 tokens at 40 ms, by its size",  # as Ollama tells it
        ),
    ):
        assert it.post("/api/chat", {"model": "o", **messages, **body}).status_code == 200
        assert rule(it) == f"first byte {said}"
    assert it.chat("o", max_tokens=10).status_code == 200
    assert rule(it) == "first byte 90 s: timeouts.default"
    assert it.chat("o", max_completion_tokens=10).status_code == 200
    assert rule(it) == "first byte 600 s: not streamed, and no max_tokens", "Ollama reads no such"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("Qwen3-30B-A3B", "first byte 360 s: not streamed, 1000 tokens at 150 ms, by its size"),
        ("Kimi-K2-1T-A32B", "first byte 600 s: not streamed, 1000 tokens at 200 ms, by its size"),
        ("qwen3-0.5b", "first byte 90 s: timeouts.default"),
    ],
)
def test_a_model_s_name_says_its_size(usual: Pair, model: str, said: str) -> None:
    it, _, _ = usual
    assert it.chat(model, max_tokens=1000).status_code == 200
    assert rule(it) == said


@pytest.mark.parametrize("model", ["two", "long", "watched"])
def test_a_backend_gets_its_own_headers_and_host_whoever_was_asked_before(
    usual: Pair, model: str
) -> None:
    """What the short way made ready for nobody, or for the backend that failed, is not sent."""
    it, a, b = as_new(usual)

    def got(backend: Scripted) -> set[tuple[str, str]]:
        asked = [each["headers"] for each in backend.requests("/v1/chat")]
        return {(each.get("x-tenant", ""), each["host"]) for each in asked}

    for _ in range(2):
        assert it.chat(model, max_tokens=5).status_code == 200
    a.behave(path_prefix="/v1/", status=503)
    for _ in range(3):
        assert it.chat(model, max_tokens=5).status_code == 200
    assert got(a) == {("of-a", a.url.removeprefix("http://"))}
    assert got(b) == {("of-b", b.url.removeprefix("http://"))}
