"""A backend that fails real requests is left alone, tried again by us, and rolled back."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import Scripted
from tests.engine.conftest import Pair
from tests.gateway import Gateway, until

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
models:
  m: {{ backends: [a, b], timeouts: {{ first_byte: 600ms, idle: 600ms }} }}
  paced: {{ backends: [b], upstream_name: m, timeouts: {{ first_byte: 600ms, idle: 600ms }} }}
  other: {{ backends: [a, b], upstream_name: m }}
  alone:
    backends: [a]
    upstream_name: m
    timeouts: {{ first_byte: 600ms, idle: 600ms }}
breaker: {{ failures: 3, cooldown: 1s }}
health: {{ interval: 500ms, timeout: 2s, rise: 2, fall: 2, slow_start: 0s }}
"""


@pytest.fixture
def pair(running: Pair) -> Pair:
    """For one test. One that leaves a trial hanging is the last: its end would disturb others."""
    it, a, b = running
    a.reset()
    b.reset()
    until(lambda: not read(Home(it.home).socket).breakers)
    it.forget_failures()
    return running


def asked(backend: Scripted) -> int:
    return len(backend.requests())


def trials(backend: Scripted) -> list[dict[str, Any]]:
    """Our own, of a backend whose breaker is half open."""
    return [
        each for each in backend.requests() if '"max_tokens":1' in each["body"].replace(" ", "")
    ]


def test_fail_open_half_open_recover(pair: Pair) -> None:
    it, a, b = pair
    a.behave(path_prefix="/v1/chat", status=503)
    while asked(a) < 3:
        assert it.chat().status_code == 200
    for _ in range(10):
        assert it.chat().status_code == 200
    until(lambda: len(trials(a)) >= 2)
    assert asked(a) - len(trials(a)) == 3, "open: nobody is sent there but we"
    first, second = (each["at_s"] for each in trials(a)[:2])
    assert second - first > 1.2, "the first trial failed: the cool-down is twice as long"
    a.reset()
    until(lambda: not read(Home(it.home).socket).breakers)
    for _ in range(4):
        it.chat()
    assert asked(a) >= 2, "closed: requests again"
    assert asked(b) > 10


def test_the_last_backend_of_a_model_stays_in(pair: Pair) -> None:
    it, a, _ = pair
    a.behave(path_prefix="/v1/chat", status=503)
    assert [it.chat("alone").status_code for _ in range(3)] == [503] * 3
    until(lambda: open_breakers(it))
    a.reset()
    assert it.chat("alone").status_code == 200, "though its breaker is open"


def test_one_request_that_is_too_slow_takes_the_backend_from_nobody(pair: Pair) -> None:
    it, a, _ = pair
    a.behave(path_prefix="/v1/chat", hang=True)
    assert it.chat("alone").status_code == 504
    a.reset()
    assert [it.chat("alone").status_code for _ in range(5)] == [200] * 5
    until(lambda: not open_breakers(it))


def test_an_answer_closes_what_a_missing_answer_opened(pair: Pair) -> None:
    it, a, b = pair
    a.behave(path_prefix="/v1/chat", hang=True)
    assert it.chat("alone").status_code == 504
    a.reset()
    assert it.chat("alone").status_code == 200
    until(lambda: not open_breakers(it), 3)
    for _ in range(6):
        it.chat()
    assert asked(a) >= 2
    assert asked(b) >= 2


def test_a_time_out_that_the_size_of_the_request_explains_is_not_the_backends_fault(
    pair: Pair,
) -> None:
    it, a, _ = pair
    a.behave(path_prefix="/v1/chat", hang=True)
    long = [{"role": "user", "content": "word " * 2000}]
    body = {"model": "alone", "messages": long}
    assert it.post("/v1/chat/completions", body).status_code == 504
    assert not open_breakers(it)


def test_a_backend_that_answers_another_model_is_out_for_the_one_that_fails_and_for_it_alone(
    pair: Pair,
) -> None:
    it, a, _ = pair
    a.behave(path_prefix="/v1/chat", status=500)

    def others() -> int:
        """How many of four requests for another model a gets."""
        before = len(a.requests("/v1/completions"))
        body = {"model": "other", "prompt": "hi"}
        answers = [it.post("/v1/completions", body).status_code for _ in range(4)]
        assert answers == [200] * 4
        return len(a.requests("/v1/completions")) - before

    until(lambda: it.chat().status_code and a.requests("/v1/chat"))
    until(lambda: others() >= 1)  # a trial of ours there makes it the busier one for a moment
    until(lambda: it.chat().status_code and open_breakers(it))
    until(lambda: others() >= 1)
    assert open_breakers(it), "the same backend, at the same time"
    asked_before = len(a.requests("/v1/chat"))
    assert {it.chat().status_code for _ in range(4)} == {200}, "by the other backend"
    ours = [each["body"].replace(" ", "") for each in a.requests("/v1/chat")[asked_before:]]
    assert all('"max_tokens":1' in body for body in ours), "our trials alone"


def test_a_model_that_failed_once_and_is_answered_since_stays_where_another_one_fails(
    pair: Pair,
) -> None:
    it, a, _ = pair
    a.behave(path_prefix="/v1/completions", status=500, times=1)

    def others() -> int:
        """How many of four requests for another model a gets."""
        before = len(a.requests("/v1/completions"))
        body = {"model": "other", "prompt": "hi"}
        for _ in range(4):
            it.post("/v1/completions", body)
        return len(a.requests("/v1/completions")) - before

    until(lambda: others() and len(a.requests("/v1/completions")) > 1)
    a.behave(path_prefix="/v1/chat", status=500)
    until(lambda: others() is not None and it.chat().status_code and open_breakers(it))
    until(lambda: others() >= 1)
    assert open_breakers(it), "the same backend, at the same time"


def test_what_another_model_is_answered_does_not_hide_that_most_requests_of_one_fail(
    pair: Pair,
) -> None:
    """Two of three, so never as many in a row as open a breaker."""
    it, a, _ = pair
    for _ in range(15):
        a.behave(path_prefix="/v1/chat", status=500, times=2)
        assert [it.chat("alone").status_code for _ in range(3)] == [500, 500, 200]
        body = {"model": "other", "prompt": "hi"}
        answers = [it.post("/v1/completions", body).status_code for _ in range(6)]
        assert answers == [200] * 6
        if open_breakers(it):
            break
    assert open_breakers(it)


def written(backend: Scripted, tokens: int, delay_s: float) -> None:
    """Its answers have so many tokens, from now on, and take so long."""
    backend.reset()
    usage = {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": tokens + 3}
    body = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage})
    headers = {"Content-Type": "application/json"}
    backend.behave(path_prefix="/v1/chat", status=200, body=body, headers=headers, delay_s=delay_s)


def test_a_long_answer_gets_the_time_that_many_others_needed_and_one_fast_one_takes_it_from_none(
    pair: Pair,
) -> None:
    it, _, b = pair
    written(b, 600, 0.4)
    assert it.chat("paced").status_code == 200
    written(b, 2000, 1.0)
    assert it.chat("paced", max_tokens=2000).status_code == 504, "one answer tells nothing"
    it.forget_failures()
    written(b, 600, 0.4)
    with ThreadPoolExecutor(8) as pool:
        assert {each.status_code for each in pool.map(it.chat, ["paced"] * 8)} == {200}
    written(b, 600, 0)
    assert it.chat("paced").status_code == 200, "a fast one"
    written(b, 2000, 1.0)
    assert it.chat("paced", max_tokens=2000).status_code == 200
    assert it.chat("paced", max_tokens=20).status_code == 504, "a short one has its usual time"
    it.forget_failures()


def open_breakers(it: Gateway) -> bool:
    return any(entry[4] for entry in read(Home(it.home).socket).breakers.values())


def test_a_backend_that_was_down_and_is_back_is_trusted(pair: Pair) -> None:
    it, a, _ = pair
    a.kill()
    for _ in range(8):
        assert it.chat().status_code == 200
    until(lambda: it.backend("a")["state"] == "down")
    a.start()
    until(lambda: it.backend("a")["state"] == "up")
    assert not read(Home(it.home).socket).breakers


def test_a_hung_backend_costs_one_timeout_and_then_nothing(pair: Pair) -> None:
    it, a, _ = pair
    a.behave(path_prefix="/v1/chat", hang=True)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert it.chat().status_code == 200
        time.sleep(0.02)  # hundreds tell as much as thousands
    assert asked(a) - len(trials(a)) == 1, "the others are our trials"
