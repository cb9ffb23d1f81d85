"""balance: work before two real vLLM with their prefix caches, against turns: conversations over a
shared opening.

The hit rate is the engines' own word. How long first tokens took is printed and not judged: this
machine may be busy.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.backends.servers import Server, available, vllm
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
models:
  by-work: {{ backends: [a, b], balance: work, upstream_name: tiny-qwen2 }}
  in-turn: {{ backends: [a, b], balance: round_robin, upstream_name: tiny-qwen2 }}
health: {{ interval: 1s }}
timeouts: {{ first_byte: 5m, idle: 5m }}
"""

KB = 1024
OPENING, GROWS = 9 * KB, 5 * KB
CONVERSATIONS, TURNS = 3, 4
"""A letter is a token to this model: prompts of 14,000 to 29,000. Three conversations
before two engines: in turn, each would be at the other engine each time."""


@pytest.fixture(scope="module")
def real() -> Iterator[tuple[Gateway, list[Server]]]:
    if reason := available("vllm"):
        pytest.skip(reason)
    with ExitStack() as stack:
        engines = [stack.enter_context(vllm(longest=32 * KB)) for _ in range(2)]
        config = CONFIG.format(a=engines[0].url, b=engines[1].url)
        it = stack.enter_context(gateway("embedded", config))
        until(lambda: all(it.backend(name)["state"] == "up" for name in "ab"))
        yield it, engines


def counted(engines: list[Server]) -> tuple[float, float]:
    """Tokens that were looked for in their caches, and those that were found there."""
    text = "".join(httpx.get(f"{each.url}/metrics", timeout=60).text for each in engines)
    return tuple(  # type: ignore[return-value]
        sum(map(float, re.findall(rf"(?m)^vllm:prefix_cache_{name}_total{{.*}} (\S+)$", text)))
        for name in ("queries", "hits")
    )


def text(word: str, size: int) -> str:
    return f"{word} " * (size // (len(word) + 1))


def first_token_s(it: Gateway, model: str, messages: list[dict[str, str]]) -> float:
    asked = {"model": model, "messages": messages, "max_tokens": 2, "stream": True}
    began = time.monotonic()
    with (
        httpx.Client(timeout=600) as http,
        http.stream(
            "POST", f"{it.url}/v1/chat/completions", json=asked, headers=it.headers()
        ) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if '"content":"' in line.replace(": ", ":") and '"content":""' not in line:
                return time.monotonic() - began
    return time.monotonic() - began


def talk(it: Gateway, engines: list[Server], model: str) -> tuple[float, float]:
    """Conversations that take turns: their hit rate, and the median time to first token of all
    turns but the first."""
    opening = {"role": "system", "content": text(f"{model} opening", OPENING)}
    said: list[list[dict[str, str]]] = [[opening] for _ in range(CONVERSATIONS)]
    queries, hits = counted(engines)
    waits = []
    for turn in range(TURNS):
        for number, messages in enumerate(said):
            words = text(f"{model} {number} in {turn}", GROWS)
            messages.append({"role": "user", "content": words})
            took_s = first_token_s(it, model, messages)
            if turn:
                waits.append(took_s)
            messages.append({"role": "assistant", "content": "yes"})
    asked, found = counted(engines)
    return (found - hits) / (asked - queries), statistics.median(waits)


@pytest.mark.long
def test_conversations_find_their_prompts_in_the_caches_of_real_engines(
    real: tuple[Gateway, list[Server]],
) -> None:
    it, engines = real
    in_turn, turn_s = talk(it, engines, "in-turn")
    by_work, work_s = talk(it, engines, "by-work")
    print(
        f"\nhit rate: {by_work:.2f} by work, {in_turn:.2f} in turn; "
        f"first token, median after the first turn: {work_s / turn_s:.2f} of what it is in turn"
    )
    assert by_work > in_turn + 0.1
    assert by_work > 0.5
