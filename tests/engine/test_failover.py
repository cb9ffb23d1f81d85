"""Backends fail; clients do not see it as long as another one can answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.backends.servers import scripted
from tests.engine.conftest import Pair
from tests.gateway import gateway, until


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 502},
        {"status": 503},
        {"status": 504},
        {"die": "before_headers"},
    ],
)
def test_a_request_that_one_backend_fails_is_answered_by_the_other(pair: Pair, fault: dict) -> None:
    it, a, b = pair
    a.behave(path_prefix="/v1/chat", **fault)
    answers = [it.chat() for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert {answer.json()["choices"][0]["message"]["content"] for answer in answers} == {"b"}
    assert len(b.requests()) == 6


@pytest.mark.long
def test_a_retried_body_still_names_the_backend_s_model(pair: Pair) -> None:
    it, a, b = pair
    it.write(f"""
backends: {{ a: {{ url: {a.url}, engine: vllm }}, b: {{ url: {b.url}, engine: vllm }} }}
models: {{ public: {{ backends: [a, b], upstream_name: m }} }}
""")
    it.run("reload")
    a.behave(path_prefix="/v1/chat", status=503)
    for _ in range(4):
        assert it.post("/v1/chat/completions", b'{"x":"\\"", "model":"public"}').status_code == 200
    assert {each["body"] for each in b.requests()} == {'{"x":"\\"", "model":"m"}'}


def test_an_error_that_is_the_client_s_own_is_not_retried(pair: Pair) -> None:
    it, a, b = pair
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", status=400, body='{"error":{"message":"bad"}}')
    answer = it.chat()
    assert (answer.status_code, answer.json()) == (400, {"error": {"message": "bad"}})
    assert len(a.requests()) + len(b.requests()) == 1


def test_when_every_backend_fails_the_error_says_so_in_the_dialect(pair: Pair) -> None:
    it, a, b = pair
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", status=503)
    answer = it.chat()
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_failed"
    assert "2 backends" in answer.json()["error"]["message"]
    assert all(each["in_flight"] == 0 for each in it.status()["backends"])


def test_after_the_first_byte_nothing_is_sent_again(pair: Pair) -> None:
    it, a, b = pair
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", die="mid_stream", chunk_delay_s=0.02)
    with pytest.raises(httpx.RemoteProtocolError):
        it.chat(stream=True)
    assert len(a.requests()) + len(b.requests()) == 1


@pytest.mark.long
def test_a_slow_first_byte_is_given_up_and_tried_elsewhere(pair: Pair) -> None:
    it, a, b = pair
    it.write(f"""
backends: {{ a: {{ url: {a.url}, engine: vllm }}, b: {{ url: {b.url}, engine: vllm }} }}
models: {{ m: {{ backends: [a, b], timeouts: {{ first_byte: 500ms, idle: 500ms }} }} }}
""")
    it.run("reload")
    a.behave(path_prefix="/v1/chat", hang=True)
    answers = [it.chat() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4


@pytest.mark.long
def test_killing_one_of_two_under_load_is_seen_by_no_client(fresh_pair: Pair) -> None:
    it, a, b = fresh_pair
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", delay_s=0.02)
    end = threading.Event()

    def client(_: int) -> list[int]:
        seen = []
        with httpx.Client(timeout=20) as http:
            while not end.is_set():
                answer = http.post(
                    it.url + "/v1/chat/completions", headers=it.headers(), json={"model": "m"}
                )
                seen.append(answer.status_code)
        return seen

    with ThreadPoolExecutor(16) as pool:
        clients = pool.map(client, range(16))
        try:
            until(lambda: a.stats()["served"] > 20)
            a.kill()
            until(lambda: it.backend("a")["state"] == "down")
            a.start()
            until(lambda: it.backend("a")["state"] == "up")
            until(lambda: a.stats()["served"] > 0)
        finally:
            end.set()
        statuses = [status for each in clients for status in each]
    assert set(statuses) == {200}
    assert all(each["in_flight"] == 0 for each in it.status()["backends"])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
def test_a_backend_s_own_error_comes_through_as_it_is(pair: Pair, status: int) -> None:
    it, a, b = pair
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", status=status, body='{"detail":"its own"}')
    answer = it.chat()
    assert (answer.status_code, answer.text) == (status, '{"detail":"its own"}')
    assert len(a.requests()) + len(b.requests()) == 1


def test_what_is_not_http_becomes_a_well_formed_error(pair: Pair) -> None:
    it, a, b = pair
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", raw="220 mail.example ESMTP\r\n")
    answer = it.chat()
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "backend_failed"
    assert it.log()[-1]["status"] == 502
    assert all(each["in_flight"] == 0 for each in it.status()["backends"])


@pytest.mark.long
def test_a_name_that_does_not_resolve_for_a_moment_keeps_its_addresses(
    engine: str, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    a = start(scripted, name="a")
    text = f"backends: {{ a: http://localhost:{a.port} }}\nmodels: {{ m: [a] }}\n"
    it = start(gateway, engine, text)

    def away(name: str) -> tuple[str, ...]:
        raise OSError(name)

    monkeypatch.setattr("infergate.nginx.addresses._addresses", away)
    it.write(text + "timeouts: { connect: 1500ms }\n")
    assert "nginx was reloaded" in it.run("apply", "--window", "0s").stdout
    assert it.chat().status_code == 200


@pytest.mark.long
@pytest.mark.parametrize("timeouts", ["", "timeouts: { first_byte: 20s }"])
def test_all_addresses_of_a_name_are_used_on_both_ways(
    engine: str, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, timeouts: str
) -> None:
    a = start(scripted, name="a")
    text = f"backends: {{ a: http://localhost:{a.port} }}\n"
    text += f"services: {{ web: {{ url: http://localhost:{a.port}, path: /web/ }} }}\n"
    it = start(gateway, engine, text + f"models: {{ m: {{ backends: [a], {timeouts} }} }}\n")

    def several(name: str) -> tuple[str, ...]:
        assert name == "localhost"
        return ("127.0.0.99", "127.0.0.98", "127.0.0.1")  # who is there is the last

    monkeypatch.setattr("infergate.nginx.addresses._addresses", several)
    assert "nginx was reloaded" in it.run("apply", "--window", "0s").stdout
    for _ in range(4):
        answer = it.chat()
        assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "a")
        asked = it.post("/web/v1/chat/completions", {"model": "m", "messages": []})
        assert asked.status_code == 200, "a web service's, too"
    assert it.backend("a")["in_flight"] == 0
    for line in [each for each in it.log() if "service" not in each][
        -4:
    ]:  # an address is no other backend, and all of them are told
        assert {each["backend"] for each in line["attempts"]} == {"a"}
        assert [each["status"] for each in line["attempts"] if each["status"] != 502] == [200]
