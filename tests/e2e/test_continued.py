"""Two real servers of llama.cpp, of which one is killed in the midst of a stream: the client reads
the text of one that was not."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.backends.servers import Server, available, llama_server
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: llamacpp }}
  b: {{ url: {b}, engine: llamacpp, backup: true }}
models: {{ m: {{ backends: [a, b], upstream_name: {model}, continuations: 1 }} }}
api: {{}}
"""
LENGTH = 1000
ALIKE_BEHIND = 100
"""Characters."""
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Tell me a long story."}]},
    "/v1/completions": {"prompt": "Once upon a time"},
}
ALIKE = {"temperature": 0, "seed": 1, "max_tokens": LENGTH, "ignore_eos": True}


@contextmanager
def two() -> Iterator[tuple[Server, Server]]:
    if problem := available("llamacpp"):
        pytest.skip(problem)
    with llama_server() as a, llama_server() as b:
        yield a, b


def stream(it: Gateway, path: str, kill: Callable[[], None] | None) -> tuple[list[Any], str]:
    """The events of an answer, and its id. kill: called when some have come."""
    body = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    body |= {**ASKED[path], **ALIKE}
    found: list[Any] = []
    with httpx.stream(
        "POST", it.url + path, json=body, headers=it.headers(), timeout=120
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line[6:]) if line[6] == "{" else line[6:])
            if kill is not None and len(found) == 40:
                kill()
                kill = None
        return found, answer.headers["x-infergate-request-id"]


def text_of(events: list[Any]) -> str:
    choices = [each for event in events[:-1] for each in event["choices"]]
    return "".join(
        each.get("text") or each.get("delta", {}).get("content") or "" for each in choices
    )


@pytest.mark.parametrize("path", sorted(ASKED))
def test_an_engine_is_killed_in_the_midst_and_another_goes_on(engine: str, path: str) -> None:
    with two() as (a, b):
        config = CONFIG.format(a=a.url, b=b.url, model=a.model)
        with gateway(engine, config, forked=True) as it:
            whole, _ = stream(it, path, None)

            cut, id_ = stream(it, path, lambda: os.kill(a.pid, signal.SIGKILL))
            assert cut[-1] == "[DONE]"
            assert any("infergate" in each for each in cut[:-1])
            first = [not isinstance(each, dict) or "infergate" in each for each in cut].index(True)
            seam = len(text_of([*cut[:first], ""]))
            assert 0 < seam < len(text_of(cut)) - ALIKE_BEHIND
            # A prompt that is read at once is not rounded as one that was written: not for ever.
            end = seam + ALIKE_BEHIND
            assert text_of(cut)[:end] == text_of(whole)[:end]
            assert cut[-2]["usage"]["prompt_tokens"] == whole[-2]["usage"]["prompt_tokens"]
            assert cut[-2]["usage"]["completion_tokens"] == LENGTH
            lines = until(lambda: [x for x in it.log() if x.get("parent") == id_][1:] and it.log())
            mine = [each["error"] for each in lines if each.get("parent") == id_]
            assert sorted(mine) == ["", "stream_truncated"]
