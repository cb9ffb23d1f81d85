"""What an engine says of its own work decides: hung ones are left, busy and slow ones get less."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import scripted
from tests.engine.conftest import Pair
from tests.gateway import Gateway, gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What the control plane does beside nginx: one engine tells as much as two."""

INTERVAL_S, HUNG_AFTER_S, SLOW_START_S = 0.5, 3, 6

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
models: {{ m: [a, b] }}
health: {{ interval: 500ms, timeout: 2s, rise: 2, fall: 2, hung_after: 3s, slow_start: 6s }}
"""


@pytest.fixture
def fresh_pair(engine: str, start: Callable[..., Any]) -> Pair:
    """For a test that leaves a backend away, or on its slow start."""
    a, b = start(scripted, name="a"), start(scripted, name="b")
    return start(gateway, engine, CONFIG.format(a=a.url, b=b.url)), a, b


@pytest.fixture
def pair(running: Pair) -> Pair:
    it, a, b = running
    a.reset()
    b.reset()
    until(lambda: load(it) == {} and {each["state"] for each in it.status()["backends"]} == {"up"})
    return running


def load(it: Gateway) -> dict[str, float]:
    return dict(read(Home(it.home).socket).load)


def asked(it: Gateway, times: int) -> list[str]:
    """Who answered, one request after the other."""
    return [it.chat().json()["choices"][0]["message"]["content"] for _ in range(times)]


def test_an_engine_that_answers_its_health_check_and_produces_nothing_is_out_in_time(
    fresh_pair: Pair,
) -> None:
    it, a, _ = fresh_pair
    a.behave(path_prefix="/v1/chat", hang=True)
    stuck: list[threading.Thread] = []
    while not a.stats()["open"]:
        stuck.append(threading.Thread(target=lambda: it.chat(stream=True)))
        stuck[-1].start()
        time.sleep(0.05)
    began = time.time()
    until(lambda: it.backend("a")["state"] == "hung")
    assert it.backend("a")["since"] - began >= HUNG_AFTER_S - 0.1
    assert it.backend("a")["reason"] == "it has requests and no token came for 3 s"
    assert set(asked(it, 6)) == {"b"}
    assert "hung" in it.run("status").stdout

    a.reset()  # the stuck requests go on hanging; one that is answered makes a token
    a.answer_one()
    until(lambda: it.backend("a")["state"] == "up")
    a.kill()  # ends them
    for each in stuck:
        each.join(10)


def test_a_slow_stream_is_not_hung(pair: Pair) -> None:
    it, a, b = pair
    log = it.home / "logs" / "gateway.log"
    said_before = len(log.read_text())
    for each in (a, b):
        each.behave(path_prefix="/v1/chat", chunk_delay_s=1, chunks=6)
    assert it.chat(stream=True).text.endswith("data: [DONE]\n\n")
    assert "hung" not in log.read_text()[said_before:]


def test_an_idle_engine_is_not_hung(pair: Pair) -> None:
    it, _, _ = pair
    time.sleep(HUNG_AFTER_S + 2 * INTERVAL_S)
    assert {each["state"] for each in it.status()["backends"]} == {"up"}


def test_a_backend_that_is_busy_for_others_gets_fewer_requests(pair: Pair) -> None:
    it, a, _ = pair
    assert set(asked(it, 6)) == {"a", "b"}
    a.tell(others=4)
    until(lambda: load(it) == {"a": 4})
    assert it.backend("a")["state"] == "up"
    assert set(asked(it, 6)) == {"b"}
    until(lambda: it.backend("a")["running"] == 4)
    a.tell(others=0)
    until(lambda: load(it) == {})
    assert set(asked(it, 6)) == {"a", "b"}


def test_our_own_requests_are_not_counted_twice(pair: Pair) -> None:
    it, a, b = pair
    for each in (a, b):
        each.behave(path_prefix="/v1/chat", chunk_delay_s=0.5, chunks=20)
    streams = [threading.Thread(target=lambda: it.chat(stream=True)) for _ in range(4)]
    for each in streams:
        each.start()
    until(lambda: sum(it.backend(name)["running"] for name in "ab") == 4)
    seen = [load(it) for _ in range(20) if time.sleep(0.1) is None]
    for each in streams:
        each.join(15)
    assert seen == [{}] * 20


def test_a_saturated_backend_is_slow_and_still_gets_requests_when_it_is_alone(
    fresh_pair: Pair,
) -> None:
    it, a, b = fresh_pair
    a.tell(kv_cache_use=0.97, others=2)
    until(lambda: it.backend("a")["state"] == "slow")
    assert it.backend("a")["reason"] == "its KV cache is 80% full or more"
    told = it.run("status").stdout
    assert "97%" in told
    assert "0 of 2" in told
    assert max(len(line) for line in told.splitlines()) <= 80
    assert set(asked(it, 6)) == {"b"}
    b.kill()
    until(lambda: it.backend("b")["state"] == "down")
    assert set(asked(it, 3)) == {"a"}
    a.tell(kv_cache_use=0.1, others=0)
    until(lambda: it.backend("a")["state"] == "up")


def test_metrics_that_end_are_withdrawn(pair: Pair) -> None:
    it, a, _ = pair
    a.tell(others=4)
    until(lambda: load(it) == {"a": 4})
    a.behave(path_prefix="/metrics", hang=True)
    until(lambda: load(it) == {})
    assert it.backend("a")["state"] == "up"


def test_a_backend_that_came_back_gets_its_share_bit_by_bit(pair: Pair) -> None:
    it, a, b = pair
    a.kill()
    until(lambda: it.backend("a")["state"] == "down")
    a.start()
    until(lambda: it.backend("a")["state"] == "up")
    until(lambda: load(it).get("a", 0) > 0.5)
    before = load(it)["a"]
    assert before <= 1
    b.behave(path_prefix="/v1/chat", chunk_delay_s=0.5, chunks=20)
    streams = [threading.Thread(target=lambda: it.chat(stream=True)) for _ in range(8)]
    a.behave(path_prefix="/v1/chat", chunk_delay_s=0.5, chunks=20)
    for each in streams:
        each.start()
    until(lambda: b.stats()["open"] + a.stats()["open"] == 8)
    assert a.stats()["open"] <= b.stats()["open"]
    until(lambda: load(it) == {})
    for each in streams:
        each.join(20)


def test_a_drained_backend_is_draining_until_it_is_taken_back(pair: Pair) -> None:
    it, _, _ = pair
    it.run("backend", "drain", "a")
    found = it.backend("a")
    assert (found["state"], found["reason"]) == ("draining", "an operator gave it no more requests")
    assert found["since"] <= time.time()
    assert "draining" in it.run("status").stdout
    it.run("backend", "undrain", "a")
    assert it.backend("a")["state"] == "up"


def test_a_backend_whose_requests_fail_is_down_though_its_probes_are_fine(
    fresh_pair: Pair,
) -> None:
    it, a, _ = fresh_pair
    a.behave(path_prefix="/v1/chat", status=503)
    until(lambda: it.chat().status_code and it.backend("a")["state"] == "down")
    assert "requests failed; " in it.backend("a")["reason"]
    assert it.backend("b")["state"] == "up"
    a.reset()
    until(lambda: it.backend("a")["state"] == "up")
