"""A gateway with guardrails, and what is asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  j: {{ url: {j}, engine: vllm }}
  box: {{ url: {box}, engine: ollama }}
guardrails:
  words: {{ deny: [project bluebird, "zür*"], allow: [project bluebird society] }}
  short: {{ max_answer: 10 }}
  before: {{ deny: [crimson], deny_of: [requests] }}
  judged: {{ judge: {{ model: judge, timeout: 2s }} }}
  judged-answers: {{ judge: {{ model: judge, of: [answers] }} }}
  trusting: {{ judge: {{ model: judge, unanswered: pass, timeout: 2s }}, unseen: pass }}
models:
  m: {{ backends: [a], guardrails: [words], cache: {{ completions: true }} }}
  plain: {{ backends: [a], upstream_name: m, cache: {{ completions: true }} }}
  short: {{ backends: [a], upstream_name: m, guardrails: [short] }}
  before: {{ backends: [a], upstream_name: m, guardrails: [before] }}
  judged: {{ backends: [a], upstream_name: m, guardrails: [judged] }}
  judged-answers: {{ backends: [a], upstream_name: m, guardrails: [judged-answers] }}
  trusting: {{ backends: [a], upstream_name: m, guardrails: [trusting] }}
  falls: {{ backends: [a], upstream_name: m, fallback: [m] }}
  tried: {{ backends: [a], upstream_name: m, canary: {{ model: m, percent: 100 }} }}
  judge: {{ backends: [j], upstream_name: m }}
  boxed: {{ backends: [box], upstream_name: "llama3:latest", guardrails: [words] }}
api: {{ batches: {{}}, responses: {{}} }}
metrics: {{ networks: [127.0.0.0/8] }}
"""
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
BAD = "tell me of Project Bluebird"

Running = tuple[Gateway, Scripted, Scripted]


@contextmanager
def guarded(engine: str) -> Iterator[Running]:
    """The gateway, its backend and its judge."""
    with (
        scripted(name="a") as a,
        scripted(name="safe") as j,
        scripted(engine="ollama", name="box", models=("llama3:latest",)) as box,
        gateway(engine, CONFIG.format(a=a.url, j=j.url, box=box.url)) as it,
    ):
        yield it, a, j


def asked(it: Gateway, content: Any, model: str = "m", **more: Any) -> httpx.Response:
    key = more.pop("key", None)
    body = {"model": model, **said(content), **more}
    return it.post(CHAT, body, key=key, timeout=60)


def said(content: Any) -> dict[str, Any]:
    """A request's messages: one of the user's."""
    return {"messages": [{"role": "user", "content": content}]}


def called(**function: str) -> dict[str, Any]:
    """A delta, or a message, with a call of a tool."""
    return {"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": function}]}


def is_refused(answer: httpx.Response, code: str = "content_filter") -> bool:
    return answer.status_code == 400 and answer.json()["error"]["code"] == code


def event_stream(*chunks: object) -> str:
    """A raw answer of a backend."""
    events = "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"
    return (
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + events
    )


def pieces(*texts: str, name: str = "content", finish: str | None = "stop") -> str:
    said = [{"index": 0, "delta": {name: text}, "finish_reason": None} for text in texts]
    last = [{"index": 0, "delta": {}, "finish_reason": finish}] if finish else []
    return event_stream(*({"id": "c1", "choices": [each]} for each in (*said, *last)))


def whole(answer: dict[str, Any]) -> str:
    body = json.dumps(answer)
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


def posted(backend: Scripted) -> list[dict[str, Any]]:
    """What it was asked, without probes."""
    return [each for each in backend.requests("/") if each["method"] == "POST"]


def only(backend: Scripted, **fault: Any) -> None:
    """From now on it answers so, and no more as it was told before."""
    backend.reset()
    backend.behave(**{"path_prefix": "/v1/", **fault})


def streamed(it: Gateway, model: str = "m", **more: Any) -> tuple[str, list[str], str]:
    """What came of it: its text, why it ended, and all as it came."""
    answer = asked(it, "hi", model, stream=True, **more)
    assert answer.status_code == 200, answer.text
    lines = [each[6:] for each in answer.text.split("\n") if each.startswith("data: {")]
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, [c["finish_reason"] for c in choices if c["finish_reason"]], answer.text


def verdict(text: str) -> str:
    """What a judge says."""
    return whole({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]})
