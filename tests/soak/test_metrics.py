"""Metrics, ledger and clients agree exactly: 100,000 requests of mixed kinds, while the control
plane is killed again and again and the log is rotated."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections import Counter
from contextlib import ExitStack

from infergate.paths import Home
from tests.backends.servers import scripted
from tests.gateway import Gateway, gateway, until

REQUESTS = 100_000
CLIENTS = 8

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
models:
  m: {{ backends: [a], price: {{ input: 1 }} }}
  n: {{ backends: [b], upstream_name: m }}
usage: {{ rotate: 4M }}
metrics: {{ keys: 3 }}
breaker: {{ failures: 1000, error_rate: 1 }}
"""

CHAT = [{"role": "user", "content": "hi"}]
KINDS = (
    ("m", "/v1/chat/completions", {"model": "m", "messages": CHAT}, True),
    ("n", "/v1/chat/completions", {"model": "n", "messages": CHAT}, True),
    ("m", "/v1/embeddings", {"model": "m", "input": "x"}, True),
    ("n", "/v1/chat/completions", {"model": "n", "messages": CHAT, "stream": True}, True),
    ("", "/v1/chat/completions", {"model": "nobody", "messages": CHAT}, True),
    ("", "/v1/chat/completions", {"model": "m", "messages": CHAT}, False),
)
"""The model it goes to, what is asked, and whether with a key."""


def client(it: Gateway, number: int, seen: Counter[tuple[str, str]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=300)
    for at in range(REQUESTS // CLIENTS):
        model, path, body, with_key = KINDS[(at + number) % len(KINDS)]
        headers = {"Content-Type": "application/json", **(it.headers() if with_key else {})}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        seen[model, f"{answer.status // 100}xx"] += 1


def killer(it: Gateway, over: threading.Event, kills: list[int]) -> None:
    last = 0
    while not over.wait(3):
        now = it.status()["processes"]["control"]
        if now is not None and now != last:
            last = now
            os.kill(now, signal.SIGKILL)
            kills.append(now)


def answers(it: Gateway, histogram: str) -> Counter[str]:
    """How many each model's histogram has."""
    said = json.loads(it.run("metrics", "show", histogram, "--json").stdout)
    found: Counter[str] = Counter()
    for each in (each for item in said["items"] for each in item["samples"]):
        if each["part"] == "_count":
            found[each["labels"]["gen_ai_request_model"]] += int(each["value"])
    return found


def counted(it: Gateway) -> Counter[tuple[str, str]]:
    said = json.loads(it.run("metrics", "show", "infergate_requests_total", "--json").stdout)
    found: Counter[tuple[str, str]] = Counter()
    for each in said["items"][0]["samples"]:
        labels = each["labels"]
        found[labels["gen_ai_request_model"], labels["status"]] += int(each["value"])
    return found


def test_metrics_ledger_and_clients_agree_through_kills_and_rotations() -> None:
    with ExitStack() as stack:
        a, b = (stack.enter_context(scripted(name=name)) for name in "ab")
        it = stack.enter_context(gateway("embedded", CONFIG.format(a=a.url, b=b.url)))
        seen: list[Counter[tuple[str, str]]] = [Counter() for _ in range(CLIENTS)]
        threads = [
            threading.Thread(target=client, args=(it, number, each))
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
        clients = sum(seen, Counter())
        assert clients.total() == REQUESTS // CLIENTS * CLIENTS
        until(lambda: it.status()["processes"]["control"] is not None)
        until(lambda: counted(it).total() >= clients.total(), 300)
        assert counted(it) == clients
        said = json.loads(it.run("usage", "--by", "model", "--format", "json").stdout)
        ledger = {row["model"]: row["requests"] for row in said["rows"]}
        by_model: Counter[str] = Counter()
        for (model, _), number in clients.items():
            by_model[model] += number
        assert ledger == by_model
        good = Counter({name: n for (name, status), n in clients.items() if status == "2xx"})
        assert answers(it, "infergate_time_to_first_byte_seconds") == good
        # Every fourth kind that is answered is a stream, of n.
        streams = sum((at + number) % len(KINDS) == 3 for number in range(CLIENTS)
                      for at in range(REQUESTS // CLIENTS))  # fmt: skip
        assert answers(it, "gen_ai_server_time_to_first_token_seconds") == {"n": streams}
        rotated = len(list(Home(it.home).logs.glob("access.log.*")))
        print(f"{len(kills)} kills, {rotated} rotations, {clients}")
        assert len(kills) > 2
        assert rotated > 2
