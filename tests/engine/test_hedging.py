"""A second backend is asked when the first is late; the first good answer wins, once."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from typing import Any

import httpx
import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.access_log import tokens, tried
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

# Every test has a model of its own, so that what was measured in another does not count. `a` is
# the first: it weighs so much more. Once in 101 requests, at about the fiftieth, it is `b`.
MODELS = 20
CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm, weight: 100, api_key: secret-of-a, headers: {{ x-tenant: of-a }} }}
  b: {{ url: {b}, engine: vllm, api_key: secret-of-b }}
  c: {{ url: {c}, engine: vllm, max_in_flight: 1 }}
breaker: {{ failures: 1000, error_rate: 1 }}
health: {{ interval: 60s, timeout: 10s }}
retries: {{ budget: 1 }}
models:
  alone: {{ backends: [a, c], hedge: {{ extra_load: 1 }}, upstream_name: m }}
  scarce: {{ backends: [a, b], hedge: {{ extra_load: 0.05 }}, upstream_name: m }}
  other: {{ backends: [c], upstream_name: m }}
"""
SLOW_S = 1.5
PATH = "/v1/embeddings"

Hedged = tuple[Gateway, Scripted, Scripted, Scripted]
numbers = count()


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Hedged]:
    with ExitStack() as stack:
        a, b, c = (stack.enter_context(scripted(name=name)) for name in "abc")
        config = CONFIG.format(a=a.url, b=b.url, c=c.url)
        for number in range(MODELS):
            model = f"{{ backends: [a, b], hedge: {{ extra_load: 1 }}, upstream_name: real-{number}"
            config += f"  m{number}: {model}, fallback: [other] }}\n"
        yield stack.enter_context(gateway(engine, config)), a, b, c


@pytest.fixture
def hedged(running: Hedged) -> Iterator[Hedged]:
    yield running
    it, *backends = running
    for backend in backends:
        backend.reset()
    it.forget_failures()
    it.run("backend", "undrain", "b")
    until(lambda: all(each["in_flight"] == 0 for each in it.status()["backends"]))


def trained(hedged: Hedged, name: str = "", requests: int = 24) -> str:
    """A model whose answers are known to be quick."""
    it, *backends = hedged
    name = name or f"m{next(numbers) % MODELS}"
    send(it, name, requests)
    idle(it)
    for backend in backends:
        backend.reset()
    return name


def idle(it: Gateway) -> None:
    """Until no slot is held: a client has its answer a moment before its slot is free, and who asks
    then is sent to the other backend, which has nothing to do."""
    until(lambda: in_flight(it) == {})


def send(it: Gateway, model: str, requests: int) -> None:
    """So many requests, one after the other; all are answered."""
    with httpx.Client(timeout=30, headers=it.headers()) as client:
        for _ in range(requests):
            assert client.post(it.url + PATH, json=body(model)).status_code == 200


def body(model: str) -> dict[str, Any]:
    return {"model": model, "input": ["hello", "world"]}


def embed(it: Gateway, model: str, **more: Any) -> httpx.Response:
    return it.post(PATH, body(model), **more)


def why(it: Gateway, answer: httpx.Response) -> str:
    """What the log says of the way that this answer's request took."""
    lines = [e for e in it.log() if e["id"] == answer.headers["x-infergate-request-id"]]
    assert len(lines) == 1
    return str(lines[0]["why"])


def asked(backend: Scripted) -> int:
    return len(backend.requests(PATH))


def in_flight(it: Gateway) -> dict[str, int]:
    """Every counter that is not zero: those of each worker, and of limits, too."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(Home(it.home).socket))) as client:
        counts = client.get("http://gateway/state").json()["inflight"]
    return {name: held for name, held in counts.items() if held != 0}


def test_the_second_answers_when_the_first_is_late(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    model = trained(hedged)
    a.behave(path_prefix=PATH, delay_s=SLOW_S)
    key = it.new_key("curious", "--explain")
    before = time.monotonic()
    answer = embed(it, model, key=key, headers={"x-request-id": "mine"})
    took_s = time.monotonic() - before
    assert answer.json()["seen"]["backend"] == "b"
    assert answer.json()["model"] == json.loads(b.requests(PATH)[0]["body"])["model"]
    assert took_s < SLOW_S / 2
    assert (asked(a), asked(b)) == (1, 1)
    headers = answer.headers
    assert (headers["x-infergate-backend"], headers["x-infergate-attempts"]) == ("b", "2")
    assert (headers["x-request-id"], headers["content-type"]) == ("mine", "application/json")
    assert "x-infergate-hedge" not in headers
    # The loser is let go: its backend need not finish, and its slot is free.
    until(lambda: a.stats()["aborted"] == 1, SLOW_S / 2)
    until(lambda: in_flight(it) == {})
    state = read(Home(it.home).socket)
    assert (state.breakers, state.conditions) == ({}, {}), "it did not fail"
    assert "exception" not in (it.home / "logs" / "error.log").read_text()


def test_the_log_tells_the_winner_its_tokens_and_why_once(hedged: Hedged) -> None:
    it, a, _, _ = hedged
    model = trained(hedged)
    a.behave(path_prefix=PATH, delay_s=SLOW_S)
    key = it.new_key("counted", "--tpm", "1000")
    answer = embed(it, model, key=key)
    limits = answer.headers["x-ratelimit-remaining-tokens"]
    lines = [e for e in it.log() if e["id"] == answer.headers["x-infergate-request-id"]]
    assert [(e["backend"], tokens(e), tried(e), e["status"]) for e in lines] == [
        ("b", [7, 0, 0], ["a"], 200)
    ]
    told = it.run("explain", answer.headers["x-infergate-request-id"]).stdout
    assert "asked b too after " in told
    assert "b answered after " in told
    assert "attempts    2" in told
    assert "7 in, 0 out" in told
    # Taken from the limit once: what is left differs by one request's seven tokens.
    again = embed(it, model, key=key)
    assert int(limits) - int(again.headers["x-ratelimit-remaining-tokens"]) <= 7


def test_a_quick_answer_is_not_hedged(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    # Late is what takes longer than these did: a busy machine is quicker than that.
    a.behave(path_prefix=PATH, delay_s=0.4)
    model = trained(hedged, requests=20)
    for _ in range(3):
        assert embed(it, model).json()["seen"]["backend"] == "a"
        idle(it)
    assert (asked(a), asked(b)) == (3, 0)


def test_nothing_is_hedged_before_enough_was_measured(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    model = trained(hedged, requests=15)
    a.behave(path_prefix=PATH, delay_s=0.4)
    for _ in range(4):
        assert embed(it, model).json()["seen"]["backend"] == "a"
        idle(it)
    assert asked(b) == 0


def test_only_embeddings_and_rerank_are_hedged(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    model = trained(hedged)
    a.behave(path_prefix="/v1/", delay_s=0.4)
    assert it.chat(model).json()["choices"][0]["message"]["content"] == "a"
    assert b.requests("/v1/chat") == []
    # Rerank takes another time than embeddings do: nothing was measured of it yet.
    rerank = it.post("/v1/rerank", {"model": model, "query": "q", "documents": ["x"]})
    assert rerank.json()["from"] == "a"
    a.reset()
    for _ in range(24):
        it.post("/v1/rerank", {"model": model, "query": "q", "documents": ["x"]})
    a.behave(path_prefix="/v1/", delay_s=SLOW_S)
    rerank = it.post("/v1/rerank", {"model": model, "query": "q", "documents": ["x"]})
    assert rerank.json()["from"] == "b"


@pytest.mark.long
def test_the_extra_load_is_bounded_over_any_run_of_requests(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    # Of 300 and some requests, 15 slow ones are within the usual twentieth and so each is late.
    model = trained(hedged, "scarce", requests=300)
    allowance = trained(hedged, requests=300)
    a.behave(path_prefix=PATH, delay_s=0.6)
    send(it, allowance, 15)
    wanted = asked(b)
    assert wanted >= 8, "with extra_load: 1 nearly all are sent twice"
    b.reset()
    send(it, model, 15)
    assert asked(b) <= 1 + 0.05 * 15 + 1  # a turn of its own
    for _ in range(5):
        a.reset()
        send(it, model, 37)
        a.behave(path_prefix=PATH, delay_s=0.6)
        send(it, model, 3)
    # 215 requests since they were slow for the first time, at three of which it was the first.
    assert asked(b) <= 1 + 0.05 * 215 + 3
    assert "extra_load is used up" in json.dumps(it.log()[-20:])


def test_a_first_that_fails_before_the_second_answers_does_not_win(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    model = trained(hedged)
    a.behave(path_prefix=PATH, delay_s=0.4, status=503)
    b.behave(path_prefix=PATH, delay_s=0.8)
    answer = embed(it, model)
    assert (answer.status_code, answer.json()["seen"]["backend"]) == (200, "b")
    assert (asked(a), asked(b)) == (1, 1)
    assert "a failed 503;b answered" in why(it, answer)


def test_a_second_that_fails_leaves_it_to_the_first(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    model = trained(hedged)
    a.behave(path_prefix=PATH, delay_s=0.6)
    b.behave(path_prefix=PATH, die="mid_stream")
    answer = embed(it, model)
    assert (answer.status_code, answer.json()["seen"]["backend"]) == (200, "a")
    assert (asked(a), asked(b)) == (1, 1)
    until(lambda: in_flight(it) == {})


def test_a_first_that_fails_at_once_is_retried_as_usual(hedged: Hedged) -> None:
    it, a, _, _ = hedged
    a.behave(path_prefix=PATH, delay_s=0.1)  # so that "at once" is before it is late
    model = trained(hedged)
    a.behave(path_prefix=PATH, status=503)
    answer = embed(it, model)
    assert (answer.status_code, answer.json()["seen"]["backend"]) == (200, "b")
    assert tried(it.log()[-1]) == ["a"]
    a.reset()
    a.behave(path_prefix=PATH, status=422, body='{"error":"too long"}')
    answer = embed(it, model)
    assert (answer.status_code, answer.text) == (422, '{"error":"too long"}')
    a.reset()
    a.behave(path_prefix=PATH, status=404, body="")
    answer = embed(it, model)
    assert (answer.status_code, answer.content) == (404, b"")
    assert "hedging failed" not in (it.home / "logs" / "error.log").read_text()


def test_both_fail_and_the_fallback_answers_or_a_well_formed_error(hedged: Hedged) -> None:
    it, a, b, c = hedged
    model = trained(hedged)
    a.behave(path_prefix=PATH, delay_s=0.4, status=503)
    b.behave(path_prefix=PATH, delay_s=0.5, die="before_headers")
    answer = embed(it, model)
    assert (answer.status_code, answer.json()["seen"]["backend"]) == (200, "c")
    assert answer.headers["x-infergate-model"] == "other"
    entry = it.log()[-1]
    assert (tried(entry), entry["backend"]) == (["b", "a"], "c")
    told = it.run("explain", entry["id"]).stdout
    assert "a: 503" in told
    assert "attempts    3" in told

    it.forget_failures()
    c.behave(path_prefix=PATH, status=503)
    answer = embed(it, model)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_failed"
    until(lambda: in_flight(it) == {})


def test_a_client_that_leaves_frees_both(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    model = trained(hedged)
    for backend in (a, b):
        backend.behave(path_prefix=PATH, hang=True)
    content = json.dumps(body(model)).encode()
    request = (
        b"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
        % (PATH.encode(), it.key.encode(), len(content), content)
    )
    with socket.create_connection(("127.0.0.1", it.port)) as client:
        client.sendall(request)
        until(lambda: a.stats()["open"] == b.stats()["open"] == 1)
    until(lambda: a.stats()["open"] == b.stats()["open"] == 0)
    until(lambda: in_flight(it) == {})
    assert it.log()[-1]["status"] == 499
    assert read(Home(it.home).socket).breakers == {}, "neither failed"


def test_a_large_answer_comes_whole(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    model = trained(hedged)
    large = json.dumps({"data": [{"embedding": [0.125] * 500_000}], "é": "ü"})
    assert len(large) > 3_000_000
    a.behave(path_prefix=PATH, delay_s=SLOW_S)
    b.behave(path_prefix=PATH, body=large, headers={"x-of-the-engine": "1"})
    answer = embed(it, model)
    assert answer.content == large.encode()
    assert answer.headers["x-of-the-engine"] == "1"
    assert asked(a) == 1


def test_nobody_is_asked_who_is_full_or_drained(hedged: Hedged) -> None:
    it, a, b, c = hedged
    trained(hedged, "alone")
    a.behave(path_prefix=PATH, delay_s=0.6)
    with httpx.Client() as client, ExitStack() as stack:
        request = {"model": "other", "messages": [{"role": "user", "content": "hi"}]}
        stream = {**request, "stream": True}
        c.behave(path_prefix="/v1/chat", chunk_delay_s=1)
        url = it.url + "/v1/chat/completions"
        stack.enter_context(client.stream("POST", url, json=stream, headers=it.headers()))
        until(lambda: it.backend("c")["in_flight"] == 1)
        answer = embed(it, "alone")
        assert answer.json()["seen"]["backend"] == "a"
    assert asked(c) == 0
    assert "not asked elsewhere: no other backend is free" in why(it, answer)

    a.reset()
    model = trained(hedged)
    a.behave(path_prefix=PATH, delay_s=0.6)
    it.run("backend", "drain", "b")
    answer = embed(it, model)
    assert answer.json()["seen"]["backend"] == "a"
    assert asked(b) == 0
    assert "not asked elsewhere: no other backend is free" in why(it, answer)


def test_each_backend_gets_its_own_key_and_the_caller_s_trace(hedged: Hedged) -> None:
    it, a, b, _ = hedged
    model = trained(hedged)
    a.behave(path_prefix=PATH, delay_s=SLOW_S)
    embed(it, model, headers={"traceparent": "00-1-1-01", "x-odd": "ü€".encode(), "x-tenant": "no"})
    for backend, secret in ((a, "secret-of-a"), (b, "secret-of-b")):
        headers = backend.requests(PATH)[0]["headers"]
        assert headers["authorization"] == f"Bearer {secret}"
        assert headers.get("x-tenant") == ("of-a" if backend is a else None)
        assert headers["traceparent"] == "00-1-1-01"
        assert it.key not in json.dumps(headers)
        assert not [name for name in headers if name.startswith("x-infergate")]
        assert headers["host"] == backend.url.removeprefix("http://")


OTHER_WAYS = """
backends:
  a: {{ url: {a}, engine: vllm, weight: 100 }}
  p: {{ url: {b}/base, engine: vllm }}
  tls: {{ url: "https://127.0.0.1:1" }}
  q1: {{ url: {a}, engine: vllm, max_in_flight: 1 }}
  q2: {{ url: {b}, engine: vllm, max_in_flight: 1 }}
  o1: {{ url: {o1}, engine: ollama, weight: 100 }}
  o2: {{ url: {o2}, engine: ollama }}
  o3: {{ url: {a}, engine: vllm, weight: 10 }}
models:
  m: {{ backends: [a, p], hedge: {{ extra_load: 1 }}, timeouts: {{ first_byte: 20s }} }}
  q: {{ backends: [q1, q2], hedge: {{ extra_load: 1 }}, upstream_name: m }}
  t: [tls]
  o: {{ backends: [o1, o2, o3], hedge: {{ extra_load: 1 }} }}
health: {{ interval: 60s }}
"""


@pytest.mark.long
def test_hedging_goes_where_other_requests_go(engine: str, start: Callable[..., Any]) -> None:
    a, b = start(scripted, name="a"), start(scripted, name="b")
    b.behave(path_prefix="/base/health", body="{}")
    o1, o2 = (start(scripted, engine="ollama", models=["o"], name=name) for name in ("o1", "o2"))
    text = OTHER_WAYS.format(a=a.url, b=b.url, o1=o1.url, o2=o2.url)
    it = start(gateway, engine, text)
    send(it, "m", 24)
    a.behave(path_prefix=PATH, delay_s=SLOW_S)
    before = len(b.requests(f"/base{PATH}"))
    answer = embed(it, "m", params={"api-version": "2024-10-21"})
    assert answer.json()["seen"]["backend"] == "b"
    asked = [each["path"] for each in b.requests(f"/base{PATH}")][before:]
    assert asked == [f"/base{PATH}?api-version=2024-10-21"]

    # Who waited in the queue may be hedged too; nobody waits for a second backend.
    a.reset()
    send(it, "q", 24)
    a.behave(path_prefix=PATH, delay_s=0.3)
    b.behave(path_prefix=PATH, delay_s=0.1)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: embed(it, "q"), range(24)))
    assert {answer.status_code for answer in answers} == {200}
    # A connection that is being closed and the next request may meet at the backend.
    assert max(a.stats()["max_open"], b.stats()["max_open"]) <= 2
    assert any("its turn after" in why(it, each) for each in reversed(answers))
    until(lambda: in_flight(it) == {})

    # Ollama's own paths only ever lead to Ollama.
    for _ in range(24):
        assert it.post("/api/embed", body("o")).status_code == 200
    o1.behave(path_prefix="/api/embed", delay_s=SLOW_S)
    assert it.post("/api/embed", body("o")).json()["seen"]["backend"] == "o2"
    assert a.requests("/api") == []
