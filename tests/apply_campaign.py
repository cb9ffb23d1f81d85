"""Applies while streams are open and requests come: nothing may be cut, nothing go unanswered."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from infergate.live.drain import nginx_workers
from tests.backends.servers import scripted
from tests.gateway import gateway, until

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
models:
  m: [a, b]
  long: {{ backends: [a, b], upstream_name: m, timeouts: {{ first_byte: {first_byte}s }} }}
health: {{ interval: 1s, timeout: 900ms, slow_start: 0s }}
"""


@dataclass
class Seen:
    """What clients got. wrong: each thing that should not be."""

    streams: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    reload_s: list[float] = field(default_factory=list)
    apply_s: list[float] = field(default_factory=list)
    most_workers: int = 0
    most_left: int = 0
    rss_before_mb: float = 0.0
    rss_most_mb: float = 0.0
    rss_after_mb: float = 0.0


def pss_mb(master: int) -> float:
    """Memory of nginx in MB, each shared page divided among who shares it."""
    total_kb = 0
    for pid in (master, *nginx_workers(master)):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total_kb += sum(int(x.split()[1]) for x in rollup.splitlines() if x.startswith("Pss:"))
    return total_kb / 1024


def _stream(client: httpx.Client, seen: Seen, chunks: int, stop: threading.Event) -> None:
    """Streams one after the other until it is over."""
    while not stop.is_set():
        text = ""
        try:
            body = {"model": "long", "stream": True, "messages": [{"role": "user", "content": "x"}]}
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                for piece in answer.iter_text():
                    text += piece
            whole = text.endswith("data: [DONE]\n\n") and text.count('"content"') >= chunks
            if answer.status_code != 200 or not whole:
                seen.wrong.append(f"a stream: {answer.status_code}, its end: {text[-200:]!r}")
        except httpx.HTTPError as problem:
            seen.wrong.append(f"a stream was cut: {problem!r} after {len(text)} characters")
        seen.streams += 1


def _ask(client: httpx.Client, seen: Seen, stop: threading.Event) -> None:
    """Single requests, one connection each, to both kinds of models."""
    models = ("m", "long")
    while not stop.is_set():
        try:
            body = {"model": models[sum(seen.answers.values()) % 2], "messages": []}
            answer = client.post("/v1/chat/completions", json=body)
            seen.answers[answer.status_code] += 1
            if answer.status_code != 200:
                seen.wrong.append(f"a request: {answer.status_code} {answer.text[:200]}")
        except httpx.HTTPError as problem:
            seen.wrong.append(f"a request went unanswered: {problem!r}")
        time.sleep(0.02)


def campaign(engine: str, applies: int, streams: int, *, chunks: int, chunk_delay_s: float) -> Seen:
    """So many applies that reload nginx, with so many streams open all the time."""
    seen, stop = Seen(), threading.Event()
    with (
        ExitStack() as stack,
        scripted(name="a") as a,
        scripted(name="b") as b,
        gateway(engine, CONFIG.format(a=a.url, b=b.url, first_byte=100)) as it,
    ):
        master = it.status()["processes"]["nginx"]
        workers = len(nginx_workers(master))
        it.chat()
        seen.rss_before_mb = pss_mb(master)
        # A connection for each request: new ones go to the new workers.
        client = stack.enter_context(
            httpx.Client(
                base_url=it.url,
                headers=it.headers(),
                timeout=120,
                verify=False,  # nothing of TLS here; loading the certificates takes long
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            )
        )
        for backend in (a, b):
            backend.behave(path_prefix="/v1/chat", chunk_delay_s=chunk_delay_s, chunks=chunks)
        threads = [
            threading.Thread(target=_stream, args=(client, seen, chunks, stop), daemon=True)
            for _ in range(streams)
        ]
        threads.append(threading.Thread(target=_ask, args=(client, seen, stop), daemon=True))
        for thread in threads:
            thread.start()
        until(lambda: a.stats()["open"] + b.stats()["open"] >= streams)
        for number in range(applies):
            it.write(CONFIG.format(a=a.url, b=b.url, first_byte=101 + number))
            began = time.monotonic()
            said = it.run("apply", "--window", "0s").stdout
            seen.apply_s.append(time.monotonic() - began)
            assert "nginx was reloaded" in said
            seen.most_workers = max(seen.most_workers, len(nginx_workers(master)))
            seen.rss_most_mb = max(seen.rss_most_mb, pss_mb(master))
            left = re.search(r"(\d+) streams? left on the old workers", said)
            seen.most_left = max(seen.most_left, int(left[1]) if left else 0)
        assert it.status()["processes"]["nginx"] == master
        stop.set()
        for thread in threads:
            thread.join(120)
        until(lambda: len(nginx_workers(master)) == workers)
        assert it.status()["drain"]["workers"] == 0
        seen.rss_after_mb = pss_mb(master)
    return seen
