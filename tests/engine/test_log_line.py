"""The line of the access log: what was asked for, what backends did, numbers or null, always."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import httpx
import pytest

from infergate.nginx.access_line import FIELDS
from tests.access_log import tokens
from tests.backends.servers import Scripted, free_port, scripted
from tests.engine.conftest import as_new
from tests.gateway import Gateway, gateway

CHAT = "/v1/chat/completions"
MODEL = "gen_ai.request.model"
CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
  dead: http://127.0.0.1:{dead}
models:
  m: {{ backends: [a], upstream_name: m, aliases: [nickname] }}
  two: {{ backends: [a, b], upstream_name: m }}
  gone: {{ backends: [dead], fallback: [m] }}
  falls: {{ backends: [a], upstream_name: m, fallback: [kept] }}
  tried: {{ backends: [a], upstream_name: m, canary: {{ model: two, percent: 100 }} }}
  kept: {{ backends: [b], upstream_name: m, cache: {{ ttl: 1h }} }}
default_model: two
services:
  other: {{ url: {b}, path: /other/ }}
  away: {{ url: "http://127.0.0.1:{dead}", path: /away/ }}
breaker: {{ failures: 1000, error_rate: 1 }}
"""
ODD = 'no"ne\\ \x1f\u2028\x00<b>\U0001f600' + "x" * 5000

Pair = tuple[Gateway, Scripted, Scripted]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Pair]:
    with ExitStack() as stack:
        a, b = (stack.enter_context(scripted(name=name)) for name in "ab")
        config = CONFIG.format(a=a.url, b=b.url, dead=free_port())
        yield stack.enter_context(gateway(engine, config)), a, b


@pytest.fixture
def pair(running: Pair) -> Pair:
    return as_new(running)


def line(it: Gateway, answer: httpx.Response) -> dict[str, Any]:
    """Of this answer; as it must be, whatever it was."""
    found = [e for e in it.log() if e["id"] == answer.headers["x-infergate-request-id"]]
    assert len(found) == 1
    assert_documented(found[0])
    return found[0]


def assert_documented(entry: dict[str, Any]) -> None:
    names = [each.name for each in FIELDS]
    assert [each for each in entry if each not in ("cache", "service")] == names
    for each in FIELDS:
        value = entry[each.name]
        if each.kind == "text":
            assert isinstance(value, str), each
        elif each.kind == "attempts":
            assert [list(one) for one in value] == [list(ATTEMPT)] * len(value)
            for one in value:
                assert all(isinstance(one[name], kind) for name, kind in ATTEMPT.items()), one
                assert not 570 <= (one["status"] or 0) < 580, "none of ours"
        elif each.name in ("completed", "tokens_estimated"):
            assert type(value) is bool, each
        elif each.kind == "tokens":
            assert value is None or type(value) is int, each
        else:
            assert type(value) in (int, float), each
    assert abs(datetime.fromisoformat(entry["time"]).timestamp() - entry["ts"]) < 2


NUMBER = (int, float, type(None))
ATTEMPT: dict[str, Any] = {
    "backend": str,
    "status": (int, type(None)),
    "header_time": NUMBER,
    "response_time": NUMBER,
}


def attempts(entry: dict[str, Any]) -> list[tuple[str, int | None]]:
    return [(each["backend"], each["status"]) for each in entry["attempts"]]


BODIES = {
    "the short way": {},
    "the long way": {"n": 1, "max_tokens": 100_000},
    "a large body": {"user": "x" * 20_000},
    "a stream": {"stream": True},
}


@pytest.mark.parametrize("more", BODIES.values(), ids=BODIES)
def test_an_answer_has_one_attempt_with_its_status_and_times(
    pair: Pair, more: dict[str, Any]
) -> None:
    it, _, _ = pair
    entry = line(it, it.post(CHAT, {"model": "m", "messages": [], **more}))
    assert (entry["v"], entry["status"], entry["completed"]) == (2, 200, True)
    assert attempts(entry) == [("a", 200)]
    assert None not in entry["attempts"][0].values()
    assert (tokens(entry) or [])[:2] == [7, 5]


def test_the_model_is_told_as_it_was_asked_for_and_as_it_was_answered(pair: Pair) -> None:
    it, a, _ = pair
    few = it.new_key("few", "--models", "m")
    cases = {
        ("m", None): ("m", "m"),
        ("nickname", None): ("nickname", "m"),
        ("tried", None): ("tried", "two"),
        ("gone", None): ("gone", "m"),
        ("two", few): ("two", ""),
        ("nosuch", few): ("nosuch", ""),
    }
    for (name, key), (asked, answered) in cases.items():
        for more in ({}, {"max_tokens": 100_000}):
            entry = line(it, it.post(CHAT, {"model": name, "messages": [], **more}, key=key))
            assert (entry["model_asked"], entry[MODEL]) == (asked, answered), (name, more)
    a.behave(path_prefix=CHAT, status=503)
    entry = line(it, it.chat("falls"))
    assert (entry["model_asked"], entry[MODEL]) == ("falls", "kept")
    a.reset()
    entry = line(it, it.post(CHAT, {"messages": []}))
    assert (entry["model_asked"], entry[MODEL]) == ("", "two"), "none was named"
    entry = line(it, it.post("/v1/embeddings", {"model": "kept", "input": "x"}))
    again = line(it, it.post("/v1/embeddings", {"model": "kept", "input": "x"}))
    assert [(e["model_asked"], e[MODEL], e["cache"]) for e in (entry, again)] == [
        ("kept", "kept", "MISS"),
        ("kept", "kept", "HIT"),
    ]
    assert (attempts(again), tokens(again), again["backend"]) == ([], None, "")


def test_each_backend_that_was_asked_is_an_attempt_of_its_own(pair: Pair) -> None:
    it, a, b = pair
    a.behave(path_prefix=CHAT, status=503)
    b.behave(path_prefix=CHAT, status=503)
    entry = line(it, it.chat("two"))
    assert (entry["status"], entry["error"], entry["model_asked"]) == (503, "backend_failed", "two")
    assert sorted(attempts(entry)) == [("a", 503), ("b", 503)]
    assert all(each["header_time"] is not None for each in entry["attempts"])
    b.reset()
    entry = line(it, it.chat("falls"))
    assert attempts(entry) == [("a", 503), ("b", 200)]
    a.reset()
    a.behave(path_prefix=CHAT, die="before_headers")
    entry = line(it, it.chat("falls"))
    assert [(each["backend"], each["header_time"] is None) for each in entry["attempts"]] == [
        ("a", True),
        ("b", False),
    ]
    told = it.run("explain", entry["id"]).stdout
    assert "attempts    2" in told
    assert "no first byte" in told


def test_what_no_backend_got_has_no_attempt(pair: Pair) -> None:
    it, _, _ = pair
    for answer in (
        it.chat("nosuch", key=it.new_key("none", "--models", "m")),
        it.get("/v1/models"),
        it.post(CHAT, {"model": "m"}, key="sk-wrong"),
        it.get("/v1/nothing"),
        it.post(CHAT, {"model": ["m"]}),
    ):
        entry = line(it, answer)
        assert (entry["attempts"], entry["backend"], tokens(entry)) == ([], "", None)


def test_a_service_is_told_like_a_backend(pair: Pair) -> None:
    it, _, _ = pair
    entry = line(it, it.get("/other/v1/models"))
    assert (entry["service"], attempts(entry)) == ("other", [("other", 200)])
    assert None not in entry["attempts"][0].values()
    entry = line(it, it.get("/away/x"))
    assert (entry["service"], entry["status"]) == ("away", 502)
    assert [(each["backend"], each["header_time"]) for each in entry["attempts"]] == [
        ("away", None)
    ] * len(entry["attempts"])
    assert entry["attempts"]


def test_a_request_that_nobody_waits_for_any_longer_is_told_with_null(pair: Pair) -> None:
    it, a, _ = pair
    a.behave(path_prefix=CHAT, delay_s=60)
    with pytest.raises(httpx.TimeoutException):
        it.post(CHAT, {"model": "m"}, timeout=0.5, headers={"x-request-id": "left"})
    gone = [each for each in it.log() if each["request_id"] == "left"]
    assert [(each["status"], each["completed"]) for each in gone] == [(499, False)]
    assert_documented(gone[0])
    assert gone[0]["attempts"][0]["header_time"] is None


def test_what_a_client_writes_is_text_in_its_place_and_no_longer_than_a_name(pair: Pair) -> None:
    it, a, _ = pair
    key = it.new_key("odd", "--models", "m,falls,kept")
    odd = {"user-agent": 'x","status":200,"\\', "x-request-id": '","v":9,"'}
    for more in ({}, {"max_tokens": 100_000}):
        answer = it.post(CHAT, {"model": ODD, "messages": [], **more}, key=key, headers=odd)
        entry = line(it, answer)
        assert (entry["status"], entry["model_asked"]) == (404, ODD[:256])
        assert entry["user_agent"] == odd["user-agent"]
    a.behave(path_prefix=CHAT, status=503)
    entry = line(it, it.post(CHAT, {"model": "falls", "messages": []}, key=key, headers=odd))
    assert attempts(entry) == [("a", 503), ("b", 200)]
    assert (entry["user_agent"], entry["request_id"]) == (odd["user-agent"], odd["x-request-id"])
    path = it.home / "logs" / "access.log"
    for text in path.read_text(errors="replace").split("\n")[:-1]:
        assert_documented(json.loads(text, parse_constant=lambda name: pytest.fail(name)))
