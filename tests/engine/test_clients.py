"""What real clients send: the shapes that they have, and what they make of the answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.access_log import tokens
from tests.engine.one_of_each import WAYS, Stack, asked

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


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n")]
    return [json.loads(line) if line.startswith("{") else line for line in lines]


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
    assert [tokens(each) for each in stack.gateway.log()[-4:]] == [[7, 5, 0]] * 4


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
        assert tokens(stack.gateway.log()[-1]) == [7, 5, 0]


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


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/api/chat"])
def test_a_byte_order_mark_is_no_part_of_a_body(stack: Stack, path: str) -> None:
    """Windows' programs write one; vLLM and llama.cpp read over it, Ollama would not."""
    kinds = ["ollama"] if path.startswith("/api") else ["vllm", "vllm-long", "kept"]
    for kind in kinds:
        for size in (2, 9000):
            said = "é" * size
            body = {"model": kind, "input": said, "messages": [{"role": "user", "content": said}]}
            sent = b"\xef\xbb\xbf" + json.dumps(body).encode()
            assert stack.gateway.post(path, sent).status_code == 200, (kind, size)
            box = stack.backends[kind.removesuffix("-long").replace("kept", "vllm")]
            got = json.loads(box.requests(path)[-1]["body"].encode("latin-1"))
            assert (got["messages"], got["model"] in box.model) == (body["messages"], True)
    refused = stack.gateway.post(path, b"\xef\xbb\xbf\xef\xbb\xbf{}")
    assert refused.status_code == 400


def test_a_form_may_say_that_it_has_no_coding(stack: Stack) -> None:
    answer = httpx.post(
        stack.gateway.url + "/v1/audio/transcriptions",
        headers={**stack.gateway.headers(), "Content-Encoding": "identity"},
        files={"file": ("a.wav", b"x")},
        data={"model": "vllm"},
    )
    assert answer.json()["model"] == "vllm"


LINE = "x-anthropic-billing-header: cc_version=2.1.36.c61; cc_entrypoint=cli; cch=01234;"
REST = "You are Claude Code.\nx-anthropic-billing-header: this stays."
SYSTEMS: dict[str, tuple[Any, Any]] = {
    "a block of its own": (
        [{"type": "text", "text": LINE}, {"type": "text", "text": REST, "cache_control": {}}],
        [{"type": "text", "text": REST, "cache_control": {}}],
    ),
    "the only block": ([{"text": LINE + "\n", "type": "text"}], []),
    "the first line of a block": (
        [{"type": "text", "text": f"{LINE}\n\n{REST}"}, {"type": "text", "text": "é"}],
        [{"type": "text", "text": REST}, {"type": "text", "text": "é"}],
    ),
    "the first line of a long one": (
        [{"type": "text", "text": f"{LINE}\n" + "é\\" * 9000}],
        [{"type": "text", "text": "é\\" * 9000}],
    ),
    "a text": (f"{LINE}\n{REST}", REST),
    "a long text": (f"{LINE}\n" + "x" * 9000, "x" * 9000),
    "another place": (
        [{"type": "text", "text": REST}, {"type": "text", "text": LINE}],
        [{"type": "text", "text": REST}, {"type": "text", "text": LINE}],
    ),
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("case", SYSTEMS)
def test_what_changes_in_each_request_of_claude_code_stays_out_of_the_prompt(
    stack: Stack, case: str, path: str
) -> None:
    said, wanted = SYSTEMS[case]
    for way in WAYS:
        body = {**asked("chat", "vllm", way), "max_tokens": 9}
        answer = stack.gateway.post(path, {"system": said, **body, "tools": []})
        assert answer.status_code == 200
        sent = json.loads(stack.backends["vllm"].requests(path)[-1]["body"].encode("latin-1"))
        assert sent == {"system": wanted, **body, "model": "vllm", "tools": []}


@pytest.mark.parametrize("case", SYSTEMS)
def test_it_does_so_where_a_program_in_between_made_openai_s_dialect_of_it(
    stack: Stack, case: str
) -> None:
    said, wanted = SYSTEMS[case]
    path = "/v1/chat/completions"
    for way in WAYS:
        for role in ("system", "developer"):
            body = asked("chat", "vllm", way)
            messages = [{"role": role, "content": said}, *body["messages"]]
            answer = stack.gateway.post(path, {**body, "messages": messages, "max_tokens": 9})
            assert answer.status_code == 200
            sent = json.loads(stack.backends["vllm"].requests(path)[-1]["body"].encode("latin-1"))
            assert sent["messages"] == [{"role": role, "content": wanted}, *body["messages"]]
    user = [{"role": "user", "content": f"{LINE}\nhi"}]
    body = {"model": "vllm", "max_tokens": 9, "messages": user}
    assert stack.gateway.post(path, body).status_code == 200
    sent = json.loads(stack.backends["vllm"].requests(path)[-1]["body"].encode("latin-1"))
    assert sent["messages"] == user, "what a person wrote stays"


@pytest.mark.parametrize("case", ["a text", "a long text"])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/responses"])
def test_it_does_so_in_the_other_dialects(stack: Stack, path: str, case: str) -> None:
    said, wanted = SYSTEMS[case]
    kind = "ollama" if path == "/api/chat" else "vllm"
    for way in ("short", "large") if kind == "ollama" else WAYS:
        body = asked("chat", kind, way)
        rest = body["messages"]
        if path == "/v1/responses":
            body = {"model": body["model"], "input": rest, "instructions": said}
        else:
            body["messages"] = [{"role": "system", "content": said}, *rest]
        assert stack.gateway.post(path, {**body, "stream": False}).status_code == 200
        sent = json.loads(stack.backends[kind].requests(path)[-1]["body"].encode("latin-1"))
        if path == "/v1/responses":
            assert (sent["instructions"], sent["input"]) == (wanted, rest)
        else:
            assert sent["messages"] == [{"role": "system", "content": wanted}, *rest]


def test_a_beta_goes_on_untouched_and_an_unknown_version_is_refused(stack: Stack) -> None:
    it = stack.gateway
    beta = {
        "anthropic-beta": "claude-code-20250219,x-2099-01-01",
        "anthropic-version": "2023-06-01",
    }
    for way in WAYS:
        body = {**asked("chat", "vllm", way), "max_tokens": 9}
        assert it.post("/v1/messages?beta=true", body, headers=beta).status_code == 200
        seen = stack.backends["vllm"].requests("/v1/messages?beta=true")[-1]["headers"]
        assert {name: seen[name] for name in beta} == beta
        assert it.post("/v1/messages", body).status_code == 200
        newest = {"anthropic-version": "2026-10-21"}  # what Anthropic's client sends since then
        assert it.post("/v1/messages", body, headers=newest).status_code == 200
        refused = it.post("/v1/messages", body, headers={"anthropic-version": "2099-01-01"})
        assert (refused.status_code, refused.json()["type"]) == (400, "error")
        assert "2023-06-01" in refused.json()["error"]["message"]


def test_a_websocket_is_told_426_so_that_codex_goes_on_without(stack: Stack) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    for path in ("/v1/responses", "/responses", "/v1/responses/", "/v1/chat/completions"):
        headers = {**stack.gateway.headers(), **upgrade}
        answer = httpx.get(stack.gateway.url + path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (426, "no_websocket")
    assert httpx.get(stack.gateway.url + "/v1/responses", headers=upgrade).status_code == 401
