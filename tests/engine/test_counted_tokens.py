"""Tokens are what the engine says at its own place, or an estimate that is marked as one."""

from __future__ import annotations

import itertools
import json
from contextlib import nullcontext
from typing import Any

import httpx
import pytest

from tests import access_log
from tests.backends.servers import Scripted
from tests.engine.conftest import Pair
from tests.gateway import Gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  o: {{ url: {o}, engine: ollama }}
models:
  short: {{ backends: [a], upstream_name: m }}
  long: {{ backends: [a], upstream_name: m, timeouts: {{ first_byte: 99s }} }}
  ollama: {{ backends: [o], upstream_name: l }}
  ollama-long: {{ backends: [o], upstream_name: l, timeouts: {{ first_byte: 99s }} }}
breaker: {{ failures: 1000, error_rate: 1 }}
"""

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
EMBEDDINGS, RERANK, COMPLETIONS = "/v1/embeddings", "/v1/rerank", "/v1/completions"
OLLAMA, GENERATE, EMBED = "/api/chat", "/api/generate", "/api/embed"
SSE, LINES = "text/event-stream", "application/x-ndjson"
JSON, BYTES = "application/json", "application/octet-stream"

FREE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
FREE |= {"input_tokens": 0, "output_tokens": 0, "prompt_eval_count": 0, "eval_count": 0}
CLIENTS: dict[str, Any] = {"usage": FREE, **FREE, "done": True, "meta": {"tokens": FREE}}
"""What a client wants to come back: it says that nothing was used."""

OPENAI = {"prompt_tokens": 700, "completion_tokens": 50, "total_tokens": 750}
NAMED = {"input_tokens": 700, "output_tokens": 50, "total_tokens": 750}
COUNTS = {"prompt_eval_count": 700, "eval_count": 50, "eval_duration": 9}
TOLD = [700, 50, 0]


def events(*each: dict[str, Any], end: str = "") -> str:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in each) + end


def lines(*each: dict[str, Any]) -> str:
    return "".join(json.dumps(line) + "\n" for line in each)


def called(arguments: object) -> dict[str, Any]:
    """A message that calls a tool with these arguments, as Ollama has it."""
    return {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "f", "arguments": arguments}}],
    }


def chunk(choices: list[dict[str, Any]], **more: object) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": choices, **more}


def delta(text: str, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": {"content": text}, "finish_reason": finish}


ANSWER = {"choices": [{"index": 0, "message": {"content": json.dumps(CLIENTS)}}]}
OUTPUT = [{"type": "message", "content": [{"type": "output_text", "text": json.dumps(CLIENTS)}]}]
TOOL = {"type": "tool_use", "name": "f", "input": CLIENTS}
COMPLETED = {"type": "response.completed", "sequence_number": 9}

WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, {**ANSWER, "metadata": CLIENTS, "usage": OPENAI, "prompt_logprobs": None}),
    "chat, echoed behind": (CHAT, {**ANSWER, "usage": OPENAI, "metadata": CLIENTS}),
    "completions": (COMPLETIONS, {"choices": [{"text": str(CLIENTS)}], "usage": OPENAI}),
    "responses": (RESPONSES, {"output": OUTPUT, "tools": [CLIENTS], "usage": NAMED, "user": None}),
    "responses, echoed behind": (
        RESPONSES,
        {"usage": NAMED, "metadata": CLIENTS, "tools": [CLIENTS]},
    ),
    "messages": (MESSAGES, {"content": [TOOL], "usage": NAMED}),
    "messages, told first": (MESSAGES, {"usage": NAMED, "content": [TOOL]}),
    "ollama's chat": (OLLAMA, {"message": called(CLIENTS), "done": True, **COUNTS}),
    "ollama's chat, echoed behind": (OLLAMA, {**COUNTS, "message": called(CLIENTS), "done": True}),
    "ollama's generate": (GENERATE, {"response": json.dumps(CLIENTS), "done": True, **COUNTS}),
}

STREAMS: dict[str, tuple[str, str, str]] = {
    "chat": (
        CHAT,
        SSE,
        events(
            chunk([delta(json.dumps(CLIENTS))], metadata=CLIENTS),
            chunk([delta("", "stop")]),
            chunk([], usage=OPENAI, metadata=CLIENTS),
            end="data: [DONE]\n\n",
        ),
    ),
    "chat, its events longer than what is kept": (
        CHAT,
        SSE,
        events(
            chunk([delta("a", "stop")], pad="x" * 9000),
            chunk([], pad="x" * 9000, usage=OPENAI),
            end="data: [DONE]\n\n",
        ),
    ),
    "responses": (
        RESPONSES,
        SSE,
        events(
            {"type": "response.created", "response": {"metadata": CLIENTS, "usage": None}},
            {"type": "response.output_text.delta", "delta": json.dumps(CLIENTS)},
            {**COMPLETED, "response": {"output": OUTPUT, "usage": NAMED, "metadata": CLIENTS}},
        ),
    ),
    "responses, a long one": (
        RESPONSES,
        SSE,
        events(
            {**COMPLETED, "response": {"output": OUTPUT * 400, "usage": NAMED, "metadata": CLIENTS}}
        ),
    ),
    "messages": (
        MESSAGES,
        SSE,
        events(
            {
                "type": "message_start",
                "message": {"usage": {"input_tokens": 700, "output_tokens": 1}},
            },
            {"type": "content_block_start", "content_block": TOOL},
            {
                "type": "message_delta",
                "usage": {"output_tokens": 50},
                "delta": {"container": CLIENTS},
            },
            {"type": "message_stop"},
        ),
    ),
    "ollama's chat": (
        OLLAMA,
        LINES,
        lines(
            {"message": called(CLIENTS), "done": False},
            {"message": {"content": ""}, "done": True, **COUNTS},
        ),
    ),
    "ollama's chat, called at its end": (
        OLLAMA,
        LINES,
        lines({"message": called(CLIENTS), "done": True, **COUNTS}),
    ),
    "ollama's generate, with a long context between its counts": (
        GENERATE,
        LINES,
        lines(
            {"response": "", "eval_count": 50, "context": [1] * 9, "done": True}
            | {"total": "x" * 900, "prompt_eval_count": 700},
        ),
    ),
    "ollama's generate, with a long context": (
        GENERATE,
        LINES,
        lines(
            {"response": "a", "done": False},
            {"response": "", "done": True, "context": list(range(9000)), **COUNTS},
        ),
    ),
}
"""Streams: path, type, bytes."""

WAYS = ["short", "long", "large"]


def ask(it: Gateway, path: str, way: str, **body: object) -> httpx.Response:
    name = "ollama" if path.startswith("/api/") else "short"
    model = ("ollama-long" if name == "ollama" else "long") if way == "long" else name
    given: dict[str, Any] = {"model": model, "stream": False, **body}
    if path in (CHAT, MESSAGES, OLLAMA):
        said = "x" * (30_000 if way == "large" else 2)
        given["messages"] = [{"role": "user", "content": said}]
        given["max_tokens"] = 9
    else:
        given["input"] = given["prompt"] = "x" * (30_000 if way == "large" else 2)
    answer = it.post(path, given)
    assert answer.status_code == 200, answer.text
    return answer


def answers(a: Scripted, body: str, kind: str = JSON, **more: Any) -> None:
    a.behave(path_prefix="/", headers={"content-type": kind, **more}, body=body)


def line(it: Gateway) -> dict[str, Any]:
    return it.log()[-1]


def log_is_clean(it: Gateway) -> bool:
    """Every line is JSON of the documented types."""
    for text in (it.home / "logs" / "access.log").read_text().splitlines():
        found = access_log.tokens(json.loads(text, parse_constant=lambda name: pytest.fail(name)))
        if found is not None:
            assert all(type(each) is int and 0 <= each <= 2**40 for each in found), text
    return True


def backend_of(own: Pair, path: str) -> Scripted:
    return own[2] if path.startswith("/api/") else own[1]


@pytest.mark.parametrize("size", [0, 40_000])
@pytest.mark.parametrize("case", WHOLE)
def test_usage_that_a_client_wrote_is_none(own: Pair, case: str, size: int) -> None:
    path, answer = WHOLE[case]
    answers(backend_of(own, path), json.dumps({"id": "x" * size, **answer}))
    for way in WAYS:
        ask(own[0], path, way)
    assert [access_log.tokens(each) for each in own[0].log()[-3:]] == [TOLD] * 3


PIECE = 16 * 1024
"""What nginx reads of an answer first: proxy_buffer_size."""


@pytest.mark.parametrize("path", [CHAT, OLLAMA])
@pytest.mark.parametrize("all_of_it", [True, False])
def test_usage_that_a_client_wrote_is_none_where_what_came_so_far_ends_with_it(
    own: Pair, path: str, *, all_of_it: bool
) -> None:
    it, backend = own[0], backend_of(own, path)
    called, told = ({"usage": FREE}, {"usage": OPENAI}) if path == CHAT else (FREE, COUNTS)
    to_there, rest = '{"pad":"","arguments":' + json.dumps(called), "," + json.dumps(told)[1:]
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 00000\r\n\r\n"
    to_there = to_there.replace('""', f'"{"x" * (PIECE - len(head) - len(to_there))}"', 1)
    head = head.replace("00000", str(len(to_there + rest)))
    backend.behave(path_prefix="/", raw=head + to_there + (rest if all_of_it else ""))
    for way in ("short", "long"):
        lines = len(it.log())
        with nullcontext() if all_of_it else pytest.raises(httpx.RemoteProtocolError):
            ask(it, path, way)
        until(lambda lines=lines: len(it.log()) > lines)
        prompt, completion, *more = access_log.tokens(line(it)) or []
        if all_of_it:
            assert [prompt, completion, *more] == TOLD
        else:
            assert (prompt > 0, completion > PIECE / 5, more) == (True, True, [0, 1])


@pytest.mark.parametrize("case", STREAMS)
def test_usage_that_a_client_wrote_into_a_stream_is_none(own: Pair, case: str) -> None:
    path, kind, text = STREAMS[case]
    answers(backend_of(own, path), text, kind)
    for way in WAYS:
        ask(own[0], path, way, stream=True, stream_options={"include_usage": True})
    found = [(access_log.tokens(each), each["error"]) for each in own[0].log()[-3:]]
    assert found == [(TOLD, "")] * 3


@pytest.mark.parametrize("case", ["chat", "responses", "messages", "ollama's chat"])
@pytest.mark.parametrize("kind", [JSON, BYTES])
def test_a_stream_that_says_it_is_something_else_is_counted(
    own: Pair, case: str, kind: str
) -> None:
    path, _, text = STREAMS[case]
    answers(backend_of(own, path), text, kind)
    for way in WAYS:
        for stream in (True, False):
            ask(own[0], path, way, stream=stream)
    assert [access_log.tokens(each) for each in own[0].log()[-6:]] == [TOLD] * 6


SHAPES: dict[str, tuple[str, object, dict[str, str], list[int]]] = {
    "vLLM's rerank": (RERANK, {"results": [], "usage": {"total_tokens": 16}}, {}, [16, 0, 0]),
    "vLLM's embeddings": (EMBEDDINGS, {"data": [], "usage": {"total_tokens": 16}}, {}, [16, 0, 0]),
    "Jina's rerank": (
        RERANK,
        {"usage": {"prompt_tokens": 16, "total_tokens": 16}, "results": []},
        {},
        [16, 0, 0],
    ),
    "llama.cpp's embeddings": (
        EMBEDDINGS,
        {"usage": {"prompt_tokens": 16, "total_tokens": 16}, "data": [0.125] * 9000},
        {},
        [16, 0, 0],
    ),
    "Cohere's tokens": (
        RERANK,
        {"results": [], "meta": {"tokens": {"input_tokens": 16, "output_tokens": 2}}},
        {},
        [16, 2, 0],
    ),
    "Cohere's billed units": (
        RERANK,
        {"results": [], "meta": {"billed_units": {"input_tokens": 16, "output_tokens": 2}}},
        {},
        [16, 2, 0],
    ),
    "TEI's array": (RERANK, [{"index": 0, "score": 0.5}], {"x-compute-tokens": "16"}, [16, 0, 0]),
    "Anthropic's cache": (
        MESSAGES,
        {
            "usage": {
                "input_tokens": 10,
                "cache_read_input_tokens": 5,
                "cache_creation_input_tokens": 1,
                "output_tokens": 2,
            }
        },
        {},
        [16, 2, 5],
    ),
    "Ollama, with its prompt cached": (OLLAMA, {"done": True, "eval_count": 4}, {}, [22, 4, 0, 1]),
    "Ollama's, in another order": (
        OLLAMA,
        {"eval_count": 4, "done": True, "prompt_eval_count": 16},
        {},
        [16, 4, 0],
    ),
    "Ollama's embed": (EMBED, {"embeddings": [[0.5]], "prompt_eval_count": 16}, {}, [16, 0, 0]),
    "the prompt and all": (
        CHAT,
        {"usage": {"prompt_tokens": 10, "total_tokens": 16}},
        {},
        [10, 6, 0],
    ),
}
"""Shapes that engines have: path, answer, headers, tokens."""


@pytest.mark.parametrize("case", SHAPES)
def test_usage_is_read_in_the_shape_that_each_engine_has(own: Pair, case: str) -> None:
    path, answer, headers, tokens = SHAPES[case]
    answers(backend_of(own, path), json.dumps(answer), **headers)
    for way in ("short", "long"):
        ask(own[0], path, way)
        found = access_log.tokens(line(own[0])) or []
        assert (found[1:] if tokens[3:] else found) == (tokens[1:] if tokens[3:] else tokens)


UNTOLD: dict[str, tuple[str, object]] = {
    "a bare array": (RERANK, [{"index": 0, "score": 0.5}]),
    "search units": (RERANK, {"results": [], "meta": {"billed_units": {"search_units": 1}}}),
    "embeddings": (EMBEDDINGS, {"data": [{"embedding": [0.5] * 9000}]}),
    "chat": (CHAT, {"choices": [{"message": {"content": "y" * 400}}]}),
    "responses": (RESPONSES, {"output": OUTPUT}),
    "messages": (MESSAGES, {"content": [TOOL]}),
    "ollama's chat": (OLLAMA, {"message": called(CLIENTS), "done": True}),
    "ollama's embeddings": ("/api/embeddings", {"embedding": [0.5]}),
}


@pytest.mark.parametrize("case", UNTOLD)
def test_an_answer_is_not_free_because_of_its_shape(own: Pair, case: str) -> None:
    """Estimated, and marked so; the prompt by the body: the head of a request has no tokens."""
    path, answer = UNTOLD[case]
    text = json.dumps(answer)
    answers(backend_of(own, path), text)
    for way in WAYS:
        body = ask(own[0], path, way).request.content
        prompt, completion, cached, mark = access_log.tokens(line(own[0])) or []
        assert (cached, mark) == (0, 1)
        assert prompt == -(-len(body) // 4)
        has_text = path in (CHAT, RESPONSES, MESSAGES, OLLAMA)
        assert completion == (-(-len(text) // 4) if has_text else 0)


@pytest.mark.parametrize("stream", [False, True])
def test_an_estimate_is_of_the_body_alone_however_it_comes(own: Pair, *, stream: bool) -> None:
    it, a, _ = own
    untold = {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}
    answers(a, events(untold) if stream else json.dumps(untold), SSE if stream else JSON)
    sent = {}
    for model, size in itertools.product(("short", "long"), (100, 20_000, 900_000)):
        message = {"role": "user", "content": "x" * size}
        body = json.dumps({"model": model, "stream": stream, "messages": [message]}).encode()
        for content, head in (
            (body, {"x-odd": "y" * 3000}),
            (iter([body[:9], body[9:]]), {}),
            (iter([body]), {"x-odd": "y" * 3000}),
        ):
            headers = {**it.headers(), "content-type": JSON, **head}
            answer = httpx.post(it.url + CHAT, content=content, headers=headers, timeout=60)
            assert answer.status_code == 200, answer.text
            sent[answer.headers["x-infergate-request-id"]] = -(-len(body) // 4)
    until(lambda: sent.keys() <= {each["id"] for each in it.log()})
    found = {each["id"]: (access_log.tokens(each) or [])[:1] for each in it.log()}
    assert {each: found[each] for each in sent} == {each: [n] for each, n in sent.items()}


NONE = ["1e308", "10000000000000000000", "-1", "7.5", '"x"', '"7"', "true", "[7]", "{}", "1e400"]


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, EMBEDDINGS, OLLAMA])
def test_numbers_that_are_none_are_not_believed(own: Pair, path: str) -> None:
    """The line stays valid, the rest of it is counted, and so is the next request."""
    it, backend = own[0], backend_of(own, path)
    answer = json.dumps(COUNTS if path == OLLAMA else {"usage": OPENAI if path == CHAT else NAMED})
    for number in NONE:
        for real in ("700",) if path == EMBEDDINGS else ("700", "50"):
            backend.reset()
            answers(backend, answer.replace("750", "null").replace(real, number))
            ask(it, path, "short")
            found = access_log.tokens(line(it))
            assert found[3] == 1, (number, found)
            assert TOLD[1 if real == "700" else 0] in found[:2]
    assert log_is_clean(it)


@pytest.mark.parametrize("case", ["chat", "responses", "messages", "ollama's chat"])
def test_numbers_that_are_none_are_not_believed_in_a_stream(own: Pair, case: str) -> None:
    it, backend = own[0], backend_of(own, STREAMS[case][0])
    path, kind, text = STREAMS[case]
    for number in NONE:
        backend.reset()
        answers(backend, text.replace("700", number).replace("750", "null"), kind)
        ask(it, path, "short", stream=True, stream_options={"include_usage": True})
        found = access_log.tokens(line(it))
        assert (found[1], found[3:]) == (50, [1]), (number, found)
        assert 0 < found[0] < 100
    assert log_is_clean(it)


def test_counting_goes_on_whatever_a_backend_tells(own: Pair) -> None:
    """Whoever counts the lines neither dies nor loses what came after."""
    it, a, _ = own
    name = "after-nonsense"
    key = json.loads(it.run("keys", "create", name, "--json").stdout)["key"]
    control = it.status()["processes"]["control"]
    for number in NONE:
        a.reset()
        answers(a, json.dumps({"usage": OPENAI}).replace("700", number))
        assert it.chat("short", key=key).status_code == 200
    a.reset()
    assert it.chat("short", key=key).status_code == 200

    def row() -> dict[str, Any] | None:
        rows = json.loads(it.run("usage", "--by", "key", "--format", "json").stdout)["rows"]
        return next((each for each in rows if each["key"] == name), None)

    until(lambda: (row() or {"requests": 0})["requests"] == len(NONE) + 1)
    assert it.status()["processes"]["control"] == control
