"""A gateway before one of each engine, as clients meet it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway

CONFIG = """
backends:
  v: {{ url: {v}, engine: vllm }}
  l: {{ url: {l}, engine: llamacpp }}
  o: {{ url: {o}, engine: ollama }}
  w: {{ url: {w}, engine: vllm }}
models:
  vllm: {{ backends: [v] }}
  vllm-long: {{ backends: [v], upstream_name: vllm, timeouts: {{ first_byte: 99s }} }}
  llamacpp: {{ backends: [l] }}
  llamacpp-long: {{ backends: [l], upstream_name: llamacpp, timeouts: {{ first_byte: 99s }} }}
  ollama: {{ backends: [o] }}
  other: {{ backends: [w] }}
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


@contextmanager
def one_of_each(engine: str) -> Iterator[Stack]:
    with ExitStack() as stack:
        backends = {
            kind: stack.enter_context(scripted(kind, models=[kind], name=kind))
            for kind in ("vllm", "llamacpp", "ollama")
        }
        backends["other"] = stack.enter_context(scripted(models=["other"], name="other"))
        urls = {"w": backends["other"].url}
        config = CONFIG.format(
            **urls, **{kind[0]: each.url for kind, each in backends.items() if kind != "other"}
        )
        yield Stack(stack.enter_context(gateway(engine, config)), backends)


WAYS = ["short", "long", "large"]


def asked(path: str, kind: str, way: str) -> dict[str, Any]:
    said = "é" * 10_000 if way == "large" else "hi"
    body: dict[str, Any] = {"model": kind + "-long" * (way == "long")}
    return body | (
        {"messages": [{"role": "user", "content": said}]} if "chat" in path else {"prompt": said}
    )
