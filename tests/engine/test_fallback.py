"""When all backends of a model fail, another model answers, and says so."""

from __future__ import annotations

import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from infergate.live import shared_memory
from infergate.live.drain import nginx_workers
from infergate.paths import Home
from tests.backends.servers import Scripted
from tests.engine.conftest import Pair
from tests.gateway import Gateway, until

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
models:
  big: {{ backends: [a], fallback: [middle, small] }}
  middle: {{ backends: [a], upstream_name: mid }}
  small: {{ backends: [b], upstream_name: tiny }}
  late: {{ backends: [a, b], upstream_name: m, timeouts: {{ first_byte: 99s }} }}
  hedged: {{ backends: [a, b], upstream_name: m, hedge: {{}} }}
  short: {{ backends: [a], upstream_name: m }}
  alone: {{ backends: [a], upstream_name: m, timeouts: {{ first_byte: 99s }} }}
  once: {{ backends: [a, b], upstream_name: m, retries: {{ attempts: 1 }} }}
  m: [a, b]
breaker: {{ failures: 1000, error_rate: 1 }}
"""


def test_the_next_model_answers_under_its_own_name(own: Pair) -> None:
    it, a, b = own
    a.behave(path_prefix="/v1/chat", status=503)
    answer = it.chat("big")
    assert answer.status_code == 200
    assert answer.headers["x-infergate-model"] == "small"
    assert '"tiny"' in b.requests()[0]["body"]
    assert it.log()[-1]["gen_ai.request.model"] == "small"


def test_a_drained_model_falls_back_without_an_attempt(own: Pair) -> None:
    it, a, _ = own
    it.run("backend", "drain", "a")
    answer = it.chat("big", stream=True)
    it.run("backend", "undrain", "a")
    assert answer.headers["x-infergate-model"] == "small"
    assert a.requests() == []


def test_a_key_falls_back_only_to_models_that_it_may_use(own: Pair) -> None:
    it, a, b = own
    a.behave(path_prefix="/v1/chat", status=503)
    key = it.new_key("big-only", "--models", "big,middle")
    for stream in (False, True):
        assert it.chat("big", key=key, stream=stream).status_code == 503
    it.run("backend", "drain", "a")
    assert it.chat("big", key=key).status_code == 503
    it.run("backend", "undrain", "a")
    assert b.requests() == []
    pattern = it.new_key("pattern", "--models", "big,sm*")
    assert it.chat("big", key=pattern).headers["x-infergate-model"] == "small"


def test_attempts_are_as_many_as_the_model_allows(own: Pair) -> None:
    it, a, b = own
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", status=503)
    assert it.chat("once").status_code == 503
    assert len(a.requests()) + len(b.requests()) == 1


def test_rate_limited_backends_are_routed_around(own: Pair) -> None:
    it, a, b = own
    a.behave(path_prefix="/v1/chat", status=429, headers={"retry-after": "7"})
    assert [it.chat("m").status_code for _ in range(4)] == [200] * 4
    b.behave(path_prefix="/v1/chat", status=429, headers={"retry-after": "7"})
    answer = it.chat("m")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["code"] == "backend_rate_limited"


def test_retries_do_not_multiply_a_failing_load(own: Pair) -> None:
    it, a, b = own
    it.forget_failures()
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", status=429)
    for _ in range(100):
        assert it.chat("m").status_code == 429
    # One attempt each, ten free retries, and a fifth of the requests.
    attempts = len(a.requests()) + len(b.requests())
    assert 100 < attempts <= 100 + 10 + 0.2 * 110 + 2


def test_the_way_of_a_request_can_be_explained(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/chat", status=503)
    key = it.new_key("curious", "--explain")
    answer = it.chat("big", key=key)
    headers = answer.headers
    assert headers["x-infergate-backend"] == "b"
    assert headers["x-infergate-attempts"] == "2"
    it.log()
    told = it.run("explain", headers["x-infergate-request-id"]).stdout
    assert "a: 503" in told
    assert "b: 200" in told
    assert "-> small" in told
    assert "7 in, 5 out" in told
    assert max(len(line) for line in told.splitlines()) <= 80
    missing = it.run("explain", "no-such-request", check=False)
    assert missing.returncode == 2
    assert "no-such-request" in missing.stderr


def test_the_caller_s_own_id_goes_on_and_comes_back(own: Pair) -> None:
    it, a, b = own
    body = {"model": "m"}
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"x-request-id": "mine-1", "traceparent": trace}
    answer = it.post("/v1/chat/completions", body, headers=headers)
    seen = (a.requests() + b.requests())[0]["headers"]
    assert (seen["x-request-id"], seen["traceparent"]) == ("mine-1", trace)
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-infergate-request-id"] != "mine-1"
    it.log()
    assert "POST /v1/chat/completions" in it.run("explain", "mine-1").stdout
    odd = it.post("/v1/chat/completions", body, headers={"x-request-id": 'a"b'})
    assert odd.headers["x-request-id"] == odd.headers["x-infergate-request-id"]
    assert "x-infergate-request-id" in it.get("/v1/models").headers
    assert "x-infergate-request-id" in it.chat("nobody").headers


def kept_connections(it: Gateway, a: Scripted, b: Scripted) -> None:
    """Each worker keeps some to both backends."""
    for backend in (a, b):
        backend.behave(path_prefix="/v1/", delay_s=0.1)
    with ThreadPoolExecutor(32) as pool:
        for model in ("m", "late"):
            assert set(pool.map(lambda _, m=model: it.chat(m).status_code, range(32))) == {200}
    for backend in (a, b):
        backend.reset()


CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


@pytest.mark.parametrize(
    ("model", "path"),
    [("m", CHAT), ("late", CHAT), ("once", CHAT), ("alone", CHAT), ("hedged", EMBEDDINGS)],
)
@pytest.mark.parametrize("size", [2, 30_000])
def test_a_request_is_executed_once_for_each_attempt_that_the_log_shows(
    own: Pair, model: str, path: str, size: int
) -> None:
    """Whatever connections are kept: a backend that read it may have begun to work."""
    it, a, b = own
    kept_connections(it, a, b)
    for backend in (a, b):
        backend.behave(path_prefix="/v1/", die="before_headers")
    said = "x" * size
    answer = it.post(
        path, {"model": model, "messages": [{"role": "user", "content": said}], "input": said}
    )
    assert answer.status_code == 502
    line = it.log()[-1]
    tried = [each["backend"] for each in line["attempts"]]
    executed = {"a": len(a.requests(path)), "b": len(b.requests(path))}
    assert sorted(tried) == sorted(name for name, times in executed.items() for _ in range(times))
    assert len(tried) == (1 if model in ("once", "alone") else 2)


def test_a_kept_connection_that_was_reset_meanwhile_costs_no_attempt(own: Pair) -> None:
    """None of the request was sent there: another connection is taken, and nobody is to blame."""
    it, a, _ = own
    workers = nginx_workers(it.status()["processes"]["nginx"])
    body = json.dumps({"model": "short"}).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {it.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    with socket.create_connection(("127.0.0.1", it.port), 10) as client:
        client.sendall(request)
        until(lambda: b"HTTP/1.1 200" in client.recv(65536))
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:  # so that both are there when it looks, the request first
            client.sendall(request)
            a.drop_connections()
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGCONT)
        answer = client.recv(65536)
        assert b"HTTP/1.1 200" in answer
    assert len(a.requests()) == 2
    line = it.log()[-1]
    assert (line["status"], line["backend"]) == (200, "a")
    assert [(each["backend"], each["status"]) for each in line["attempts"]] == [("a", 200)]
    assert it.backend("a")["in_flight"] == 0
    assert not shared_memory.read(Home(it.home).socket).breakers
