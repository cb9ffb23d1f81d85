"""Requests wait for a free backend: in order, by share, not for ever, and nothing of them stays."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import httpx
import pytest

from infergate.live.shared_memory import push, read
from infergate.paths import Home
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm, max_in_flight: 2 }}
  bad: {{ url: {b}, engine: vllm }}
  worse: {{ url: {b}, engine: vllm, max_in_flight: 50 }}
  b: {{ url: {a}/b, engine: vllm, health: tcp, max_in_flight: 1 }}
models:
  two: {{ backends: [a, b], upstream_name: m }}
  m: [a]
  patient: {{ backends: [a], upstream_name: m, queue: {{ ageing: 1h }} }}
  unlimited: {{ backends: [bad, a], upstream_name: m }}
  limited: {{ backends: [worse, a], upstream_name: m }}
  late: {{ backends: [bad, a], upstream_name: m, timeouts: {{ first_byte: 99s }} }}
  fallen: {{ backends: [bad], fallback: [m] }}
  full: {{ backends: [a], upstream_name: m, queue: {{ max_length: 0 }} }}
  small: {{ backends: [a], upstream_name: m, queue: {{ max_length: 2 }} }}
  short: {{ backends: [a], upstream_name: m, queue: {{ max_length: 2, max_wait: 1s }} }}
breaker: {{ failures: 1000, error_rate: 1 }}
retries: {{ budget: 1 }}
queue: {{ max_length: 100, max_wait: 60s, ageing: 500ms }}
"""

Queued = tuple[Gateway, Scripted]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Queued]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        b = stack.enter_context(scripted(name="b"))
        b.behave(path_prefix="/v1/chat", status=503, delay_s=0.02)
        yield stack.enter_context(gateway(engine, CONFIG.format(a=a.url, b=b.url))), a


@pytest.fixture
def queued(running: Queued) -> Iterator[Queued]:
    yield running
    it, a = running
    a.reset()
    until(lambda: waiting(it) == 0 and it.backend("a")["in_flight"] == 0)


def hold(a: Scripted) -> None:
    """Until `a.behave()`, no request ends: what is waited for then comes, however slow we are."""
    a.behave(path_prefix="/v1/chat", hold=True)


def ended(answers: list[Future[httpx.Response]]) -> int:
    return sum(each.done() for each in answers)


def waiting(it: Gateway) -> int:
    return read(Home(it.home).socket).waiting


def test_more_than_a_backend_takes_wait_and_all_are_answered(queued: Queued) -> None:
    it, a = queued
    hold(a)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(it.chat) for _ in range(8)]
        until(lambda: waiting(it) == 6)
        a.behave()
        answers = [each.result() for each in asked]
    assert [answer.status_code for answer in answers] == [200] * 8
    assert a.stats()["max_open"] == 2
    waited = [int(a.headers.get("x-infergate-queue-ms", 0)) for a in answers]
    assert sum(wait > 0 for wait in waited) == 6


@pytest.mark.parametrize("model", ["unlimited", "limited", "late", "fallen"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_failed_elsewhere_waits_like_any_other(
    queued: Queued, model: str, stream: bool
) -> None:
    """Neither a retry nor a fallback goes to a backend that has all it takes."""
    it, a = queued
    a.behave(path_prefix="/v1/chat", delay_s=0.2)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: it.chat(model, stream=stream), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert a.stats()["max_open"] == 2
    assert len(a.requests()) == 8
    assert it.backend("a")["in_flight"] == 0


def test_a_backend_gets_no_more_than_it_takes_without_a_queue_too(queued: Queued) -> None:
    it, a = queued
    hold(a)
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(it.chat, "full") for _ in range(5)]
        until(lambda: ended(asked) == 3)
        a.behave()
        answers = [each.result() for each in asked]
    assert Counter(answer.status_code for answer in answers) == {200: 2, 429: 3}
    assert a.stats()["max_open"] == 2


@pytest.mark.long
def test_two_workers_that_hand_out_slots_lose_nobody_s(queued: Queued) -> None:
    """Once, a request that got its slot at the wrong moment was answered 204, once in 3,000."""
    it, _ = queued
    end = time.monotonic() + 4

    def client(_: int) -> Counter[int]:
        seen: Counter[int] = Counter()
        with httpx.Client(timeout=30, headers=it.headers()) as http:
            while time.monotonic() < end:
                answer = http.post(it.url + "/v1/chat/completions", json={"model": "m"})
                seen[answer.status_code] += 1
        return seen

    with ThreadPoolExecutor(24) as pool:
        assert set(sum(pool.map(client, range(24)), Counter())) == {200}


def test_a_full_queue_refuses_with_the_time_to_wait(queued: Queued) -> None:
    it, a = queued
    hold(a)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(it.chat, "small") for _ in range(6)]
        until(lambda: ended(asked) == 2)
        a.behave()
        answers = [each.result() for each in asked]
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {200: 4, 429: 2}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["retry-after"]) >= 1


def test_who_waits_too_long_is_told_so(queued: Queued) -> None:
    it, a = queued
    hold(a)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(it.chat, "short") for _ in range(3)]
        until(lambda: ended(asked) == 1)
        a.behave()
        answers = [each.result() for each in asked]
    slow = [answer for answer in answers if answer.status_code != 200]
    assert len(slow) == 1
    assert (slow[0].status_code, slow[0].json()["error"]["code"]) == (503, "queue_timeout")


def test_a_client_that_leaves_the_queue_is_gone_from_it(queued: Queued) -> None:
    it, a = queued
    hold(a)
    body = b'{"model":"m"}'
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (it.key.encode(), len(body), body)
    )
    clients = []
    for _ in range(5):
        clients.append(socket.create_connection(("127.0.0.1", it.port)))
        clients[-1].sendall(request)
    until(lambda: waiting(it) == 3)
    for client in clients[2:]:
        client.close()
    until(lambda: waiting(it) == 0)
    assert sum(entry["status"] == 499 for entry in it.log()[-5:]) >= 3
    for client in clients[:2]:
        client.close()


def test_high_priority_goes_first_and_low_is_not_starved(queued: Queued) -> None:
    it, a = queued
    high, low = it.new_key("hi", "--priority", "high"), it.new_key("lo", "--priority", "low")
    hold(a)

    def ask(key: str, name: str, model: str = "m") -> None:
        assert it.chat(model, key=key, user=name).status_code == 200

    with ThreadPoolExecutor(24) as pool:  # of a model where nobody gets older meanwhile
        for key, name, waiting_then in ((low, "low", 2), (high, "high", 6)):
            asked = range(4)
            for _ in asked:
                pool.submit(ask, key, name, "patient")
            until(lambda count=waiting_then: waiting(it) == count)
        a.behave()
    order = [json.loads(each["body"])["user"] for each in a.requests()]
    # Two are there at once, from two workers of nginx: of those either may arrive first.
    assert order[:5] == ["low"] * 2 + ["high"] * 3
    assert "high" in order[5:7]

    a.behave(path_prefix="/v1/chat", delay_s=0.25)
    with ThreadPoolExecutor(24) as pool:
        for _ in range(6):
            pool.submit(ask, high, "high")
        until(lambda: waiting(it) > 0)
        low_ones = [pool.submit(ask, low, "low") for _ in range(2)]

        def low_ones_are_done_past_a_constant_stream() -> bool:
            if waiting(it) < 8:
                pool.submit(ask, high, "high")
            return all(each.done() for each in low_ones)

        until(low_ones_are_done_past_a_constant_stream)


def test_two_keys_share_by_their_weights(queued: Queued) -> None:
    it, a = queued
    keys = {1: it.new_key("w1", "--weight", "1"), 3: it.new_key("w3", "--weight", "3")}
    a.behave(path_prefix="/v1/chat", delay_s=0.05)
    done: Counter[int] = Counter()
    all_there = Barrier(16)

    def client(weight: int) -> None:
        url, headers = it.url + "/v1/chat/completions", it.headers(keys[weight])
        with httpx.Client(timeout=30) as http:
            all_there.wait()
            while sum(done.values()) < 200:
                answer = http.post(url, headers=headers, json={"model": "m"})
                assert answer.status_code == 200
                done[weight] += 1

    with ThreadPoolExecutor(16) as pool:
        for weight in (1, 3) * 8:
            pool.submit(client, weight)
    share = done[1] / (done[1] + done[3])
    assert 0.20 <= share <= 0.30


def test_a_restarted_worker_leaves_no_tickets_behind(queued: Queued) -> None:
    it, a = queued
    hold(a)
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(it.chat) for _ in range(5)]
        until(lambda: waiting(it) == 3)
        it.run("reload")
        a.behave()
        assert [each.result().status_code for each in answers] == [200] * 5


def test_nobody_in_the_queue_gets_a_backend_that_routing_would_not_use(queued: Queued) -> None:
    it, a = queued
    now = time.time() * 1000
    # Its cool-down is over, and the trial comes first; there is none for this endpoint.
    breaker = json.dumps([5, now, 5, 5, now - 1, 600_000, "/v1/audio/speech", "m", 0])
    push(Home(it.home).socket, {"breakers": {"set": {"b": breaker}}})
    a.behave(path_prefix="/v1/chat", delay_s=0.5)
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: it.chat("two"), range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert not a.requests("/b/v1/chat")
    it.forget_failures()
