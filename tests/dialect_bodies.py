"""Bodies in every dialect, right ones and their neighbours, and what may be answered to them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from hypothesis import strategies as st

from tests import dialects
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until
from tests.json_near import near

_CONFIG = """
backends:
  native: {{ url: {native}, engine: vllm }}
  chat: {{ url: {chat}, engine: tgi }}
  short: {{ url: {short}, engine: tei }}
  ollama: {{ url: {ollama}, engine: ollama }}
  secret: {{ url: {secret}, engine: tgi }}
models:
  native: [native]
  chat: [chat]
  short: [short]
  boxed: {{ backends: [ollama], upstream_name: ollama }}
  secret: [secret]
api: {{}}
"""
ALLOWED = ("native", "chat", "short", "boxed")
"""Of the key; `secret` is not."""

_HELLO = [{"role": "user", "content": "hello"}]
_PNG = "iVBORw0KGgo="
_SCHEMA = {"type": "object", "properties": {"town": {"type": "string"}}}
_FUNCTION = {"name": "weather", "description": "Of a town.", "parameters": _SCHEMA}
_TOOLS = [{"type": "function", "function": _FUNCTION}]
_CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}

_ANTHROPIC = {
    "model": "chat",
    "max_tokens": 9,
    "stream": True,
    "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hello"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": _PNG},
                },
                {
                    "type": "document",
                    "title": "t",
                    "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": ""},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"town": "Rome"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "sunny", "is_error": False}
            ],
        },
    ],
    "tools": [{"name": "weather", "description": "d", "input_schema": _SCHEMA}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": _SCHEMA}},
    "metadata": {"user_id": "u"},
    "temperature": 0.5,
}
_RESPONSES = {
    "model": "chat",
    "stream": True,
    "store": False,
    "instructions": "Be kind.",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "hello"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{_PNG}"},
            ],
        },
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "reasoning", "id": "r", "summary": [], "content": []},
    ],
    "tools": [{"type": "function", **_FUNCTION, "strict": True}],
    "tool_choice": {"type": "function", "name": "weather"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": _SCHEMA}},
    "reasoning": {"effort": "low"},
    "max_output_tokens": 9,
    "temperature": 0.5,
}
_OPTIONS = {"temperature": 0.5, "num_predict": 9, "stop": ["END"], "seed": 1, "num_ctx": 64}
_OLLAMA_CHAT = {
    "model": "chat",
    "stream": True,
    "messages": [
        {"role": "user", "content": "hello", "images": [_PNG]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "weather", "arguments": {"town": "Rome"}}}],
        },
        {"role": "tool", "tool_name": "weather", "content": "sunny"},
    ],
    "tools": _TOOLS,
    "options": _OPTIONS,
    "format": _SCHEMA,
    "think": "low",
    "keep_alive": "5m",
}
_GENERATE = {
    "model": "chat",
    "prompt": "hello",
    "system": "Be kind.",
    "images": [_PNG],
    "stream": False,
    "raw": False,
    "options": _OPTIONS,
    "format": "json",
}
_CHAT = {
    "model": "chat",
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [*_HELLO, {"role": "assistant", "content": None, "tool_calls": [_CALL]}],
    "tools": _TOOLS,
    "max_tokens": 9,
}
_RERANK = {
    "model": "short",
    "query": "q",
    "documents": ["a", {"text": "b"}],
    "top_n": 1,
    "return_documents": True,
}

SEEDS: tuple[tuple[tuple[str, ...], tuple[Any, ...]], ...] = (
    (
        ("/v1/messages", "/v1/messages/count_tokens", "/messages"),
        (_ANTHROPIC, {"model": "chat", "max_tokens": 9, "messages": _HELLO}),
    ),
    (("/v1/responses", "/responses"), (_RESPONSES, {"model": "chat", "input": "hello"})),
    (("/api/chat",), (_OLLAMA_CHAT, {"model": "boxed", "messages": _HELLO, "stream": False})),
    (("/api/generate",), (_GENERATE, {**_GENERATE, "raw": True, "stream": True})),
    (
        ("/api/embed", "/api/embeddings"),
        (
            {"model": "native", "input": ["a", "b"], "truncate": True},
            {"model": "chat", "prompt": "a"},
        ),
    ),
    (("/api/show",), ({"model": "chat"}, {"name": "chat", "verbose": True})),
    (("/v1/rerank", "/rerank", "/v2/rerank"), (_RERANK, {**_RERANK, "model": "native"})),
    (
        (
            "/v1/chat/completions",
            "/openai/deployments/chat/chat/completions?api-version=2024-10-21",
            "/openai/v1/chat/completions",
        ),
        (_CHAT, {"model": "native", "messages": _HELLO}),
    ),
    (
        ("/v1/embeddings", "/openai/deployments/native/embeddings?api-version=2024-10-21"),
        ({"model": "native", "input": "hello"}, {"model": "chat", "input": [1, 2]}),
    ),
)
_MODELS = (*ALLOWED, "secret", "none", "", "Chat", "chat:latest", "../secret", "secret\n")
_VERSIONS = ("2023-06-01", "2026-10-21", "", "x", "2023-01-01")


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    body: bytes
    version: str


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    """Of any dialect: near to a right one, its model one of many, and its JSON as strange as it may
    be written."""
    paths, seeds = draw(st.sampled_from(SEEDS))
    path, body = draw(st.sampled_from(paths)), draw(near(*seeds))
    if isinstance(body, dict) and draw(st.booleans()):
        body["model"] = draw(st.sampled_from(_MODELS))
    text = json.dumps(body, ensure_ascii=draw(st.booleans()))
    match draw(st.integers(0, 19)):
        case 0:
            other = json.dumps(draw(st.sampled_from(_MODELS)))
            text = re.sub(r"^\{", f'{{"model": {other}, ', text)
        case 1:
            other = json.dumps(draw(st.sampled_from(_MODELS)))
            text = re.sub(r"\}$", f', "\\\\u006dodel": {other}}}', text)
        case 2:
            text = text[: draw(st.integers(0, len(text)))]
        case 3:
            text += draw(st.text(max_size=3))
    data = text.encode("utf-8", draw(st.sampled_from(["surrogatepass", "replace"])))
    if draw(st.integers(0, 29)) == 0:
        data = draw(st.binary(max_size=40))
    return Asked(path, data, draw(st.sampled_from(_VERSIONS)))


@dataclass(frozen=True)
class Fuzzed:
    """A gateway, a client of it, and the backend that nobody here may ask."""

    gateway: Gateway
    key: str
    client: httpx.Client
    secret: Scripted

    def ask(self, asked: Asked) -> None:
        """Asks it, and looks at the answer."""
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.key}",
            "anthropic-version": asked.version,
        }
        url = self.gateway.url + asked.path
        answer = self.client.post(url, content=asked.body, headers=headers)
        check(asked.path.partition("?")[0], answer)
        assert '"backend": "secret"' not in answer.text
        assert "secret0" not in answer.text

    def check_secret(self) -> None:
        """Nobody asked it for its model."""
        assert [each for each in self.secret.requests("/") if each["method"] == "POST"] == []


@contextmanager
def fuzzed(engine: str) -> Iterator[Fuzzed]:
    with ExitStack() as stack:
        kinds = {"native": "vllm", "chat": "openai", "short": "openai", "ollama": "ollama"}
        made = {
            name: stack.enter_context(scripted(kind, name=name, models=[name]))
            for name, kind in {**kinds, "secret": "openai"}.items()
        }
        urls = {name: each.url for name, each in made.items()}
        it = stack.enter_context(gateway(engine, _CONFIG.format(**urls), forked=True))
        until(lambda: {each["state"] for each in it.status()["backends"]} == {"up"})
        key = it.new_key("fuzz", "--models", ",".join(ALLOWED))
        client = stack.enter_context(httpx.Client(timeout=120))
        yield Fuzzed(it, key, client, made["secret"])


def check(path: str, answer: httpx.Response) -> None:
    """An answer is whole and in the dialect of its path; the gateway's own faults are none."""
    assert answer.status_code < 500, (answer.status_code, answer.text)
    if answer.status_code != 200:
        check_error(path, answer)
    elif answer.headers["content-type"].startswith("text/event-stream"):
        if answer.text.startswith("data: "):
            assert answer.text.endswith("data: [DONE]\n\n")
        elif path.endswith("/messages"):
            dialects.check_anthropic(dialects.events(answer.content))
        elif "response.in_progress" in answer.text:  # the double's own have fewer events
            dialects.check_responses(dialects.events(answer.content))
    elif answer.headers["content-type"].startswith("application/x-ndjson"):
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert [each["done"] for each in lines] == [False] * (len(lines) - 1) + [True]
    else:
        assert isinstance(answer.json(), dict)


def check_error(path: str, answer: httpx.Response) -> None:
    told = answer.json()
    if path.endswith(("/messages", "/count_tokens")):
        assert told["type"] == "error"
        assert {"type", "message"} <= set(told["error"])
        message = told["error"]["message"]
    elif path.startswith("/api/"):
        message = told["error"]
    else:
        assert {"message", "type", "param", "code"} <= set(told["error"]), told
        message = told["error"]["message"]
    assert isinstance(message, str)
    assert message
