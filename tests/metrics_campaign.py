"""Requests of mixed kinds while the control plane is killed again and again and the log is rotated;
then says whether metrics, ledger and clients agree exactly.

python -m tests.metrics_campaign REQUESTS [ENGINE]
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from infergate.paths import Home
from tests.backends.servers import scripted
from tests.gateway import Gateway, gateway, until

CLIENTS = 8
KILL_EVERY_S = 3

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
  bad: {{ url: {bad}, engine: vllm }}
models:
  m: {{ backends: [a], price: {{ input: 1 }} }}
  n: {{ backends: [b], upstream_name: m }}
  falls: {{ backends: [bad], upstream_name: m, fallback: [n] }}
usage: {{ rotate: {rotate} }}
metrics: {{ keys: 3 }}
breaker: {{ failures: 1000, error_rate: 1 }}
"""

CHAT = [{"role": "user", "content": "hi"}]
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True)
class Kind:
    """model: what answers; path, body: what is asked; key: good, limited, none."""

    model: str
    path: str
    body: dict[str, Any]
    key: str = "good"


KINDS = (
    Kind("m", "/v1/chat/completions", {"model": "m", "messages": CHAT}),
    Kind("n", "/v1/chat/completions", {"model": "n", "messages": CHAT}),
    Kind("m", "/v1/embeddings", {"model": "m", "input": "x"}),
    Kind("n", "/v1/chat/completions", {"model": "n", "messages": CHAT, **STREAM}),
    Kind("m", "/v1/messages", {"model": "m", "messages": CHAT, "max_tokens": 9}),
    Kind("m", "/v1/chat/completions", {"model": "m", "messages": CHAT, "max_tokens": 100_000}),
    Kind("n", "/v1/chat/completions", {"model": "falls", "messages": CHAT}),
    Kind("", "/v1/chat/completions", {"model": "nobody", "messages": CHAT}),
    Kind("", "/v1/chat/completions", {"model": "m", "messages": CHAT}, "none"),
    Kind("m", "/v1/chat/completions", {"model": "m", "messages": CHAT}, "limited"),
)


@dataclass
class Seen:
    """What clients saw: answers by model and class of status, tokens by model, and how many good
    answers came as streams."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)

    def add(self, kind: Kind, status: int, body: bytes) -> None:
        # The retry budget may have none left for the fallback: then it is the first one's failure.
        model = kind.body["model"] if status >= 500 else kind.model
        self.answers[model, f"{status // 100}xx"] += 1
        if status != 200:
            return
        streamed = bool(kind.body.get("stream"))
        self.streams[kind.model] += streamed
        events = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line]
        said = events[-2] if streamed else body  # the last one is [DONE]
        usage = json.loads(said)["usage"]
        names = ("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")
        for which, (one, other) in zip(("input", "output"), names, strict=True):
            self.tokens[kind.model, which] += usage.get(one, usage.get(other, 0))


def total(seen: list[Seen]) -> Seen:
    found = Seen()
    for each in seen:
        found.answers += each.answers
        found.tokens += each.tokens
        found.streams += each.streams
    return found


def client(it: Gateway, keys: dict[str, str], number: int, requests: int, seen: Seen) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=600)
    for at in range(requests):
        kind = KINDS[(at + number) % len(KINDS)]
        headers = {"Content-Type": "application/json"}
        if kind.key in keys:
            headers["Authorization"] = f"Bearer {keys[kind.key]}"
        connection.request("POST", kind.path, json.dumps(kind.body), headers)
        answer = connection.getresponse()
        seen.add(kind, answer.status, answer.read())


def killer(it: Gateway, over: threading.Event, kills: list[int]) -> None:
    last = 0
    while not over.wait(KILL_EVERY_S):
        now = it.status()["processes"]["control"]
        if now is not None and now != last:
            last = now
            os.kill(now, signal.SIGKILL)
            kills.append(now)


def shown(it: Gateway, metric: str, part: str, *labels: str) -> Counter[tuple[str, ...]]:
    """A metric's samples by these labels; part: "" or "_count" of a histogram."""
    said = json.loads(it.run("metrics", "show", metric, "--json").stdout)
    found: Counter[tuple[str, ...]] = Counter()
    for sample in (sample for item in said["items"] for sample in item["samples"]):
        if sample["part"] == part:
            of = tuple(sample["labels"].get(label, "") for label in labels)
            found[of] += int(sample["value"])
    return found


MODEL = "gen_ai_request_model"


def same(counted: Mapping[Any, int], clients: Mapping[Any, int]) -> None:
    """But for what is zero."""
    assert +Counter(counted) == +Counter(clients), f"{counted} are counted, clients saw {clients}"


def assert_agreed(it: Gateway, clients: Seen) -> None:
    """What the metrics and the ledger have is what clients saw."""
    asked = "infergate_requests_total"
    wanted = clients.answers.total()
    until(lambda: shown(it, asked, "", MODEL, "status").total() >= wanted, 600)
    same(shown(it, asked, "", MODEL, "status"), clients.answers)
    tokens = "infergate_tokens_total"
    same(shown(it, tokens, "", MODEL, "gen_ai_token_type"), clients.tokens)
    said = json.loads(it.run("usage", "--by", "model", "--format", "json").stdout)
    by_model: Counter[str] = Counter()
    for (model, _), number in clients.answers.items():
        by_model[model] += number
    same(Counter({row["model"]: row["requests"] for row in said["rows"]}), by_model)
    for which, column in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        ledger = {row["model"]: row[column] for row in said["rows"] if row["model"]}
        same(Counter(ledger), {name: clients.tokens[name, which] for name in ledger})
    good = {(name,): n for (name, status), n in clients.answers.items() if status == "2xx"}
    same(shown(it, "infergate_time_to_first_byte_seconds", "_count", MODEL), good)
    streams = {(name,): number for name, number in clients.streams.items()}
    same(shown(it, "gen_ai_server_time_to_first_token_seconds", "_count", MODEL), streams)


def campaign(requests: int, engine: str) -> str:
    """What was done; AssertionError where they do not agree. The log is rotated some six times."""
    began = time.monotonic()
    with ExitStack() as stack:
        a, b, bad = (stack.enter_context(scripted(name=name)) for name in ("a", "b", "bad"))
        bad.behave(path_prefix="/v1/chat/completions", status=503)
        rotate = max(1, requests // 10_000)
        text = CONFIG.format(a=a.url, b=b.url, bad=bad.url, rotate=f"{rotate}MB")
        it = stack.enter_context(gateway(engine, text))
        keys = {"good": it.key, "limited": it.new_key("limited", "--rpm", "30")}
        seen = [Seen() for _ in range(CLIENTS)]
        threads = [
            threading.Thread(target=client, args=(it, keys, number, requests // CLIENTS, each))
            for number, each in enumerate(seen)
        ]
        over, kills = threading.Event(), []
        killing = threading.Thread(target=killer, args=(it, over, kills))
        for thread in (*threads, killing):
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        killing.join()
        clients = total(seen)
        assert clients.answers.total() == requests // CLIENTS * CLIENTS, "a client broke off"
        until(lambda: it.status()["processes"]["control"] is not None)
        assert_agreed(it, clients)
        rotations = len(list(Home(it.home).logs.glob("access.log.*")))
    assert len(kills) > 2
    assert rotations > 2
    return (
        f"{clients.answers.total()} requests in {time.monotonic() - began:.0f} s, {len(kills)} "
        f"kills, {rotations} rotations: {dict(clients.answers)}, tokens {dict(clients.tokens)}"
    )


if __name__ == "__main__":
    print(campaign(int(sys.argv[1]), (*sys.argv[2:], "embedded")[0]))
