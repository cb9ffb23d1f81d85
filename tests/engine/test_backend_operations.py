"""Backends are weighed, added and removed by hand while the gateway runs, and stay so."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from infergate.live.drain import nginx_workers
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
models: {{ m: {{ backends: [a, b], balance: round_robin }}, other: [a] }}
health: {{ interval: 300ms, timeout: 300ms, rise: 1, fall: 2, slow_start: 0s }}
"""

Three = tuple[Gateway, Scripted, Scripted, Scripted]


@pytest.fixture(scope="module")
def module_three(engine: str) -> Iterator[Three]:
    with (
        scripted(name="a", models=("m", "other")) as a,
        scripted(name="b") as b,
        scripted(name="c") as c,
        gateway(engine, CONFIG.format(a=a.url, b=b.url)) as it,
    ):
        yield it, a, b, c


@pytest.fixture
def three(module_three: Three) -> Iterator[Three]:
    """A gateway with a and b, and a server c that it does not know; put right after each test."""
    it, *servers = module_three
    before = it.file.read_text()
    yield module_three
    for server in servers:
        server.reset()
    for name in ("a", "b", "c"):
        it.run("backend", "reset", name, check=False)
    if it.file.read_text() != before:
        it.file.write_text(before)
        it.run("reload")
    until(lambda: _spread(it, 6) == {"a": 3, "b": 3})


def _spread(it: Gateway, count: int, model: str = "m") -> Counter[str]:
    """Who answered how many of so many requests."""
    answers = (it.chat(model) for _ in range(count))
    return Counter(each.json()["choices"][0]["message"]["content"] for each in answers)


def _workers(it: Gateway) -> frozenset[int]:
    return nginx_workers(it.status()["processes"]["nginx"])


def _stream(it: Gateway, seconds: float, *servers: Scripted) -> tuple[threading.Thread, list[str]]:
    """A stream that goes on for so long."""
    for server in servers:
        server.behave(path_prefix="/v1/chat", chunk_delay_s=seconds / 10, chunks=10)
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(it.chat(stream=True).text))
    thread.start()
    until(lambda: sum(server.stats()["open"] for server in servers) == 1)
    for server in servers:
        server.behave()
    return thread, got


def test_a_weight_counts_at_once_without_a_reload_and_is_told(three: Three) -> None:
    it, _, _, _ = three
    before = _workers(it)
    told = it.run("backend", "weight", "a", "3").stdout
    assert "weight 3 now (before: 1)" in told
    assert _spread(it, 8) == {"a": 6, "b": 2}
    assert it.backend("a")["weight"] == 3
    assert "a was given weight 3 instead of 1 by" in it.run("status").stdout.replace("\n", " ")
    assert "backend.weight  a  weight: 1 → 3" in it.run("audit", "log").stdout
    time.sleep(1.2)  # the control plane has looked at the database
    assert _spread(it, 8) == {"a": 6, "b": 2}
    assert _workers(it) == before


@pytest.mark.long
def test_an_added_backend_serves_what_it_has_and_ends_no_stream(three: Three) -> None:
    it, a, b, c = three
    stream, got = _stream(it, 4, a, b)
    it.run("backend", "add", "c", c.url, "--engine", "vllm")
    until(lambda: _spread(it, 6) == {"a": 2, "b": 2, "c": 2})
    assert _spread(it, 4, "other") == {"a": 4}, "c does not have it"
    assert it.backend("c")["origin"] == "by hand"
    stream.join(15)
    assert got[0].endswith("data: [DONE]\n\n")
    refused = it.run("backend", "add", "d", c.url, check=False)
    assert (refused.returncode, "'c' has this address already" in refused.stderr) == (2, True)
    it.run("backend", "remove", "c")
    assert _spread(it, 6) == {"a": 3, "b": 3}
    assert "c" not in it.run("backend", "list").stdout.split()


def test_a_removed_backend_finishes_what_it_has_without_a_reload(three: Three) -> None:
    it, a, b, _ = three
    before = _workers(it)
    it.run("backend", "weight", "a", "1000")  # so the stream is there
    stream, got = _stream(it, 3, a)
    b.behave()
    began = time.monotonic()
    said = it.run("backend", "remove", "a", "--drain").stdout
    assert time.monotonic() - began > 1, "it waited for the stream"
    assert "still answers 1 request" in said
    stream.join(10)
    assert got[0].endswith("data: [DONE]\n\n")
    assert _spread(it, 4) == {"b": 4}
    assert it.chat("other").status_code == 503, "nobody is left for it"
    assert "a was removed by" in it.run("status").stdout
    assert _workers(it) == before
    it.run("backend", "reset", "a")
    until(lambda: it.chat("other").status_code == 200)


@pytest.mark.long
def test_what_was_changed_survives_restarts_of_everything(three: Three) -> None:
    it, _, _, c = three
    it.run("backend", "weight", "a", "2")
    it.run("backend", "remove", "b")
    it.run("backend", "add", "c", c.url, "--weight", "2")
    until(lambda: _spread(it, 4) == {"a": 2, "c": 2})
    os.kill(it.status()["processes"]["control"], signal.SIGKILL)
    until(lambda: it.status()["processes"]["control"] is not None)
    until(lambda: _spread(it, 4) == {"a": 2, "c": 2})
    it.run("down")
    states = {each["name"]: (each["state"], each["reason"]) for each in it.status()["backends"]}
    assert {state for state, _ in states.values()} == {"unknown"}, "nobody asks them any longer"
    assert "it was up when it was last asked" in {reason for _, reason in states.values()}
    it.run("up", "--detach")
    until(lambda: _spread(it, 4) == {"a": 2, "c": 2})
    assert [each["backend"] for each in it.status()["removed_backends"]] == ["b"]


@pytest.mark.long
def test_a_change_by_hand_ends_when_the_file_says_something_new(three: Three) -> None:
    it, a, _, _ = three
    it.run("backend", "weight", "a", "5")
    it.run("backend", "weight", "b", "5")
    it.run("reload")
    assert (it.backend("a")["weight"], it.backend("b")["weight"]) == (5, 5)
    written = f"a: {{ url: {a.url}, engine: vllm"
    it.file.write_text(it.file.read_text().replace(written, written + ", weight: 2"))
    assert "Not any more: the weight 5 of a by hand" in it.run("reload").stdout
    assert (it.backend("a")["weight"], it.backend("b")["weight"]) == (2, 5)
    assert "reset b" in it.run("doctor").stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("weight", "aa", "2"), "there is no backend 'aa' (did you mean 'a'?)"),
        (("weight", "a", "0"), "infergate backend drain a"),
        (("add", "A", "http://127.0.0.1:1"), "there is a backend 'a' already"),
        (("add", "x", "ftp://127.0.0.1"), "url: 'ftp://127.0.0.1' is not a URL"),
        (("add", "x/y", "http://127.0.0.1:1"), "'x/y' is not a name"),
        (("remove", "x"), "there is no backend 'x'"),
        (("reset", "x"), "there is no backend 'x'"),
    ],
)
def test_a_wrong_command_says_what_is_wrong_and_changes_nothing(
    module_three: Three, command: tuple[str, ...], said: str
) -> None:
    it = module_three[0]
    ran = it.run("backend", *command, check=False)
    assert ran.returncode == 2
    assert said in ran.stderr


@pytest.mark.long
def test_requests_go_on_while_backends_come_and_go(three: Three) -> None:
    it, _, _, c = three
    failed: list[httpx.Response] = []
    stopped = threading.Event()

    def load() -> None:
        while not stopped.is_set():
            answer = it.chat()
            if answer.status_code != 200:
                failed.append(answer)

    loads = [threading.Thread(target=load) for _ in range(4)]
    for each in loads:
        each.start()
    for _ in range(2):
        it.run("backend", "add", "c", c.url, "--engine", "vllm")
        until(lambda: c.stats()["served"] > 0)
        it.run("backend", "remove", "c")
        c.reset()
    stopped.set()
    for each in loads:
        each.join(10)
    assert failed == []
