"""The line of the access log: what was asked for, what backends did, numbers or null, always."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import pytest

from infergate.nginx.access_line import FIELDS, FIRST_CHUNK
from infergate.nginx.statuses import INTERNAL
from tests.access_log import LINE, tokens
from tests.backends.servers import Scripted
from tests.engine.conftest import Pair
from tests.engine.failing import Failing
from tests.gateway import Gateway, until
from tests.wire import raw

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


def line(it: Gateway, answer: httpx.Response) -> dict[str, Any]:
    """Of this answer; as it must be, whatever it was."""
    found = [e for e in it.log() if e["id"] == answer.headers["x-infergate-request-id"]]
    assert len(found) == 1
    assert_documented(found[0])
    return found[0]


def assert_documented(entry: dict[str, Any]) -> None:
    LINE.validate(entry)
    names = [each.name for each in FIELDS]
    assert [each for each in entry if each not in ("cache", "service")] == names
    for one in entry["attempts"]:
        assert list(one) == ATTEMPT
        assert one["status"] not in INTERNAL, "none of ours"
    assert abs(datetime.fromisoformat(entry["time"]).timestamp() - entry["ts"]) < 2


ATTEMPT = ["backend", "address", "status", "header_time", "response_time"]


def address(of: Scripted) -> str:
    return of.url.removeprefix("http://")


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
    own: Pair, more: dict[str, Any]
) -> None:
    it, a, _ = own
    entry = line(it, it.post(CHAT, {"model": "m", "messages": [], **more}))
    assert (entry["v"], entry["status"], entry["completed"]) == (2, 200, True)
    assert attempts(entry) == [("a", 200)]
    assert None not in entry["attempts"][0].values()
    assert entry["attempts"][0]["address"] == address(a)
    assert (tokens(entry) or [])[:2] == [7, 5]


def test_of_a_stream_is_told_when_its_first_event_came(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix=CHAT, first_byte_delay_s=0.3)
    for more in ({}, {"max_tokens": 100_000}):  # the short way, and the long one
        entry = line(it, it.chat("m", stream=True, **more))
        first = entry[FIRST_CHUNK]
        assert 0.25 < first <= entry["request_time"], "the head came before it"
    a.reset()
    assert line(it, it.chat("m"))[FIRST_CHUNK] is None, "no stream"
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    a.behave(path_prefix=CHAT, raw=head + ": nothing to say yet\n\n")
    assert line(it, it.chat("m", stream=True))[FIRST_CHUNK] is None, "a comment is no event"
    a.reset()


def test_the_model_is_told_as_it_was_asked_for_and_as_it_was_answered(own: Pair) -> None:
    it, a, _ = own
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


def test_each_backend_that_was_asked_is_an_attempt_of_its_own(own: Pair) -> None:
    it, a, b = own
    a.behave(path_prefix=CHAT, status=503)
    b.behave(path_prefix=CHAT, status=503)
    entry = line(it, it.chat("two"))
    assert (entry["status"], entry["error"], entry["model_asked"]) == (503, "backend_failed", "two")
    assert sorted(attempts(entry)) == [("a", 503), ("b", 503)]
    assert {each["backend"]: each["address"] for each in entry["attempts"]} == {
        "a": address(a),
        "b": address(b),
    }
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


def test_where_a_request_came_from_is_told_and_no_query_that_may_hold_a_secret(own: Pair) -> None:
    it, a, _ = own
    headers = {
        "referer": "https://n8n.example/flow?token=secret#secret",
        "x-forwarded-for": "203.0.113.9, 10.0.0.1",
    }
    entries = []
    for more in BODIES.values():
        answer = it.post(CHAT, {"model": "m", "messages": [], **more}, headers=headers)
        entries.append(line(it, answer))
    a.behave(path_prefix=CHAT, status=503)
    entries.append(line(it, it.post(CHAT, {"model": "falls"}, headers=headers)))
    assert len(entries[-1]["attempts"]) == 2
    entries.append(line(it, it.post(CHAT, {"model": ["m"]}, headers=headers)))
    for entry in entries:
        assert entry["ip"] == "127.0.0.1", "nobody said that this client is believed"
        assert entry["protocol"] == "HTTP/1.1"
        assert entry["referer"] == "https://n8n.example/flow"
        assert entry["forwarded_for"] == headers["x-forwarded-for"]


def test_what_no_backend_got_has_no_attempt(own: Pair) -> None:
    it, _, _ = own
    for answer in (
        it.chat("nosuch", key=it.new_key("none", "--models", "m")),
        it.get("/v1/models"),
        it.post(CHAT, {"model": "m"}, key="sk-wrong"),
        it.get("/v1/nothing"),
        it.post(CHAT, {"model": ["m"]}),
    ):
        entry = line(it, answer)
        assert (entry["attempts"], entry["backend"], tokens(entry)) == ([], "", None)


def test_a_service_is_told_like_a_backend(own: Pair) -> None:
    it, _, _ = own
    entry = line(it, it.get("/other/v1/models"))
    assert (entry["service"], attempts(entry)) == ("other", [("other", 200)])
    assert None not in entry["attempts"][0].values()
    entry = line(it, it.get("/away/x"))
    assert (entry["service"], entry["status"]) == ("away", 502)
    assert [(each["backend"], each["header_time"]) for each in entry["attempts"]] == [
        ("away", None)
    ] * len(entry["attempts"])
    assert entry["attempts"]


def test_a_request_that_nobody_waits_for_any_longer_is_told_with_null(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix=CHAT, delay_s=60)
    with pytest.raises(httpx.TimeoutException):
        it.post(CHAT, {"model": "m"}, timeout=0.5, headers={"x-request-id": "left"})
    gone = [each for each in it.log() if each["request_id"] == "left"]
    assert [(each["status"], each["completed"]) for each in gone] == [(499, False)]
    assert_documented(gone[0])
    assert gone[0]["attempts"][0]["header_time"] is None


def test_what_a_client_writes_is_text_in_its_place_and_no_longer_than_a_name(own: Pair) -> None:
    it, a, _ = own
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
    for text in path.read_text().split("\n")[:-1]:
        assert_documented(json.loads(text, parse_constant=lambda name: pytest.fail(name)))


CUT_AT = "\ufffd"
BYTES = {
    b"x": "x",
    "é\u2028\U0001f600\ud7ff\ue000".encode(): "é\u2028\U0001f600\ud7ff\ue000",
    b"\xff": CUT_AT,
    b"ab\xe9 cd": f"ab{CUT_AT}",
    "é".encode() + b"\xc3": f"é{CUT_AT}",
    b"\xc0\xaf": CUT_AT,
    b"a\xe0\x80\xaf": f"a{CUT_AT}",
    b"a\xed\xa0\x80b": f"a{CUT_AT}",
    b"\xf0\x9f\x98": CUT_AT,
    b"\xf4\x90\x80\x80": CUT_AT,
    "\U0001f600".encode() + b"\x80": f"\U0001f600{CUT_AT}",
    b'"\xfe\\': f'"{CUT_AT}',
}
"""What a client may write, and what stands in the log: text, as far as it is UTF-8."""

PLACES = ("/v1/chat/completions", "/other/", "/nowhere/", "/v1/models/", "/away/", "/healthz/")


def test_a_line_is_utf_8_whatever_bytes_a_client_writes(own: Pair) -> None:
    it, _, _ = own
    ids: dict[str, tuple[str, str]] = {}
    for said, told in BYTES.items():
        for place in PLACES:
            path = place.encode()
            if place.endswith("/"):
                path += b"".join(b"%%%02x" % byte for byte in said)
            for body in (b'{"model":"m","messages":[]}', b'{"model":"two","max_tokens":90000}'):
                answer = raw(
                    it.port,
                    b"POST %s HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer %s\r\n"
                    b"User-Agent: %s\r\nX-Request-Id: %s\r\nReferer: %s?%s\r\n"
                    b"X-Forwarded-For: %s\r\nContent-Length: %d\r\n"
                    b"Content-Type: application/json\r\nConnection: close\r\n\r\n%s"
                    % (path, it.key.encode(), *(said,) * 5, len(body), body),
                )
                found = re.search(rb"^x-infergate-request-id: *(\S+)\r$", answer, re.I | re.M)
                assert found, answer
                ids[found[1].decode()] = (told, place)
    it.log()
    lines = (it.home / "logs" / "access.log").read_bytes().split(b"\n")[:-1]
    entries = {each["id"]: each for each in (json.loads(text.decode()) for text in lines)}
    for one, (told, place) in ids.items():
        entry = entries[one]
        texts = ("user_agent", "request_id", "referer", "forwarded_for")
        assert [entry[each] for each in texts] == [told] * 4, entry
        if entry["uri"] != "/.infergate/unreadable":  # a slash in more bytes than it has
            assert entry["uri"].rstrip("/") == (place + told * place.endswith("/")).rstrip("/")


DIALECTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    CHAT: lambda body: body["error"]["code"],
    "/v1/messages": lambda body: "server_error" * (body["error"]["type"] == "api_error"),
    "/v1/embeddings": lambda body: body["error"]["code"],
    "/api/chat": lambda body: "server_error" * isinstance(body["error"], str),
}
"""Paths, and where the code of an error stands in each one's dialect."""

FAILURES = [
    ("careful.js", "careful$serve", 500),
    ("careful.js", "relay$decide", 500),
    ("missed.js", "missed$serve", 500),
    ("refusal.js", "refusal$refused", 500),
    ("refusal.js", "refusal$found", 404),
    ("refusal.js", "refusal$worded", 500),
]
AT_THE_END = ["line$attempts", "charge$settle"]


@pytest.fixture(scope="module")
def failing(running: Pair) -> Failing:
    programs = {program for program, _, _ in FAILURES}
    functions = {p: [each for at, each, _ in FAILURES if at == p] for p in programs}
    return Failing(running[0], {**functions, "answer.js": AT_THE_END})


@pytest.mark.parametrize(("program", "function", "status"), FAILURES)
def test_a_request_that_njs_fails_on_is_refused_in_its_dialect_and_logged(
    own: Pair, failing: Failing, program: str, function: str, status: int
) -> None:
    it, _, _ = own
    key = it.new_key("few", "--models", "m")
    paths = DIALECTS
    if program != "refusal.js":  # answers to one of them may be kept, which has another program
        is_kept = program == "missed.js"
        paths = {p: code for p, code in DIALECTS.items() if (p == "/v1/embeddings") is is_kept}
    with failing(function):
        for path, code in paths.items():
            body = {"model": "nobody has it", "messages": [], "input": "a", "max_tokens": 1}
            path += "/nothing" * (status == 404)
            answer = it.post(path, body, key=key)
            assert answer.status_code == status
            assert answer.headers["content-type"].startswith("application/json")
            if status == 500:
                assert code(answer.json()) == "server_error", answer.text
            assert "error" in answer.json()
            entry = line(it, answer)
            assert (entry["status"], entry["error"]) == (status, "server_error")


@pytest.mark.parametrize("function", AT_THE_END)
def test_a_request_that_njs_fails_on_at_its_end_is_logged_and_frees_its_slot(
    own: Pair, failing: Failing, function: str
) -> None:
    it, _, _ = own
    key = it.new_key("few", "--rpm", "1000", "--concurrency", "5")
    with failing(function):
        answer = it.chat("gone", key=key)
        assert answer.status_code == 200
        assert line(it, answer)["status"] == 200
    until(lambda: {each["in_flight"] for each in it.status()["backends"]} == {0})


@pytest.mark.parametrize("path", [CHAT, "/other/upload"])
@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_who_leaves_in_the_midst_of_its_body_has_made_no_bad_request(
    own: Pair, path: str, expect: str
) -> None:
    it, lines = own[0], len(own[0].log())
    said = f"POST {path} HTTP/1.1\r\nHost: x\r\n{expect}Content-Length: 100000\r\n"
    said += "".join(f"{name}: {value}\r\n" for name, value in it.headers().items())
    with socket.create_connection(("127.0.0.1", it.port)) as client:
        client.sendall(f"{said}\r\n{{".encode())
        assert not expect or client.recv(100).startswith(b"HTTP/1.1 100 ")
    until(lambda: len(it.log()) > lines)
    assert (it.log()[-1]["status"], it.log()[-1]["error"]) == (499, "client_left")
