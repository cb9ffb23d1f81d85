"""A streamed request may go to another backend until its first token, not until the head alone."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.engine.conftest import Pair
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
models:
  m: [a, b]
  always: {{ backends: [a, b], upstream_name: m, retries: {{ until: first_token }} }}
  head: {{ backends: [a, b], upstream_name: m, retries: {{ until: head }} }}
  alone: {{ backends: [a], upstream_name: m }}
  backed: {{ backends: [a], upstream_name: m, fallback: [head] }}
  late:
    backends: [a, b]
    upstream_name: m
    timeouts: {{ first_byte: 700ms, idle: 700ms, dynamic: false }}
  watched:
    backends: [a, b]
    upstream_name: m
    timeouts: {{ first_byte: 700ms, dynamic: false }}
  paused:
    backends: [a, b]
    upstream_name: m
    timeouts: {{ first_byte: 30s, idle: 700ms, dynamic: false }}
breaker: {{ failures: 1000, error_rate: 1 }}
"""

LONG = "a prompt that takes a while to read " * 300
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": LONG}]},
    "/v1/completions": {"prompt": LONG},
    "/v1/messages": {"messages": [{"role": "user", "content": LONG}], "max_tokens": 9},
    "/v1/responses": {"input": LONG},
}


def streamed(
    it: Gateway, model: str, path: str = "/v1/chat/completions", **more: Any
) -> httpx.Response:
    return it.post(path, {"model": model, "stream": True, **ASKED[path], **more})


def until_a_was_first(it: Gateway, model: str, path: str = "/v1/chat/completions") -> dict:
    """The log's line of a request that went to a first, and had its answer from b."""
    turns = itertools.count()

    def line() -> Any:
        it.forget_failures()  # else nobody asks it again
        # Of another prompt each time: one that b has answered goes to b.
        new = json.loads(json.dumps(ASKED[path]).replace(LONG, f"{next(turns)} times " * 2500))
        answer = streamed(it, model, path, **new)
        assert answer.status_code == 200
        assert "stream_truncated" not in answer.text
        found = it.log()[-1]
        return len(found["attempts"]) == 2 and found

    return dict(until(line))


def assert_nothing_is_held(it: Gateway) -> None:
    until(lambda: not any(each["in_flight"] for each in it.status()["backends"]))


@pytest.mark.parametrize(
    ("model", "path"),
    [
        *(("m", path) for path in ASKED),
        ("watched", "/v1/chat/completions"),
        ("paused", "/v1/chat/completions"),
    ],
)
def test_a_backend_that_dies_while_it_reads_the_prompt_breaks_no_stream(
    own: Pair, model: str, path: str
) -> None:
    it, a, b = own
    a.behave(path_prefix="/v1/", die="after_headers")
    line = until_a_was_first(it, model, path)
    assert [(each["backend"], each["status"]) for each in line["attempts"]] == [
        ("a", 502),
        ("b", 200),
    ]
    assert "a closed before its first token;a failed 502" in line["why"]
    assert line["error"] == ""
    assert [each["address"] for each in line["attempts"]] == ["", b.url.removeprefix("http://")]
    assert len(b.requests("/v1/")) >= 1
    assert_nothing_is_held(it)


def test_a_short_prompt_too_where_the_model_says_so(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/", die="after_headers")

    def moved() -> bool:
        it.forget_failures()
        answer = it.chat("always", stream=True)
        assert answer.text.endswith("data: [DONE]\n\n")
        return len(it.log()[-1]["attempts"]) == 2

    until(moved)


def test_a_fallback_takes_it_where_there_is_no_other_backend(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/chat", die="after_headers", times=1)
    answer = streamed(it, "backed")
    assert (answer.status_code, answer.headers["x-infergate-model"]) == (200, "head")
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("path", ASKED)
def test_if_nobody_has_a_token_the_client_gets_an_error_of_its_dialect(
    own: Pair, path: str
) -> None:
    it, a, b = own
    for each in (a, b):
        each.behave(path_prefix="/v1/", die="after_headers")
    answer = streamed(it, "m", path)
    assert answer.status_code == 502
    error = answer.json()["error"]
    assert "2 backends tried" in error["message"]
    assert it.log()[-1]["error"] == "backend_failed"
    assert_nothing_is_held(it)


@pytest.mark.parametrize("model", ["late", "watched"])
def test_a_first_token_that_is_late_is_asked_of_the_next_backend(own: Pair, model: str) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/", hang="after_headers")
    line = until_a_was_first(it, model)
    assert [(each["backend"], each["status"]) for each in line["attempts"]] == [
        ("a", 504),
        ("b", 200),
    ]
    until(lambda: a.stats()["open"] == 0)
    assert_nothing_is_held(it)


@pytest.mark.parametrize("model", ["head", "alone"])
def test_where_nothing_else_is_asked_the_head_is_not_kept_back(own: Pair, model: str) -> None:
    it, a, b = own
    for each in (a, b):
        each.behave(path_prefix="/v1/", hold="after_headers")
    body = {"model": model, "stream": True, **ASKED["/v1/chat/completions"]}
    url = f"{it.url}/v1/chat/completions"
    with httpx.stream("POST", url, headers=it.headers(), json=body, timeout=60) as answer:
        assert answer.status_code == 200, "it is here, and the first token is not"
        for each in (a, b):
            each.reset()
        assert answer.read().endswith(b"data: [DONE]\n\n")


def test_a_pause_after_the_first_token_is_still_watched(own: Pair) -> None:
    it, a, b = own
    for each in (a, b):
        each.behave(path_prefix="/v1/", hang="mid_stream")
    body = {"model": "paused", "stream": True, **ASKED["/v1/chat/completions"]}
    asked = httpx.stream(
        "POST", f"{it.url}/v1/chat/completions", headers=it.headers(), json=body, timeout=60
    )
    text = ""
    with asked as answer, contextlib.suppress(httpx.RemoteProtocolError):
        for piece in answer.iter_text():
            text += piece
    assert '"code":"stream_truncated"' in text
    assert len(it.log()[-1]["attempts"]) == 1
    assert_nothing_is_held(it)


@pytest.mark.parametrize("path", ASKED)
def test_what_reaches_the_client_is_what_the_backend_sent(own: Pair, path: str) -> None:
    it, a, _ = own
    it.run("backend", "drain", "b")
    try:
        asked = {"stream_options": {"include_usage": True}} if "completions" in path else {}
        through = streamed(it, "m", path, **asked)
        body = {"model": "m", "stream": True, **ASKED[path], **asked}
        direct = httpx.post(a.url + path, json=body)
        assert through.content == direct.content
        assert through.headers["content-type"] == direct.headers["content-type"]
        ours = {each for each in through.headers if each.startswith("x-infergate")}
        assert ours == {"x-infergate-request-id"}, "nothing of the way through our own server"
        line = it.log()[-1]
        assert line["error"] == ""
        assert line["attempts"][0]["address"] == a.url.removeprefix("http://")
    finally:
        it.run("backend", "undrain", "b")


def test_a_client_that_leaves_before_the_first_token_is_felt_by_the_backend(own: Pair) -> None:
    it, a, b = own
    for each in (a, b):
        each.behave(path_prefix="/v1/", hang="after_headers")
    gone = threading.Event()

    def ask() -> None:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{it.url}/v1/chat/completions",
                headers=it.headers(),
                json={"model": "m", "stream": True, **ASKED["/v1/chat/completions"]},
                timeout=3,
            )
        gone.set()

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: a.stats()["open"] + b.stats()["open"] == 1)
    thread.join()
    assert gone.is_set()
    until(lambda: a.stats()["open"] + b.stats()["open"] == 0)
    assert it.log()[-1]["status"] == 499
    assert_nothing_is_held(it)


RESPONSES = [
    {"type": "response.created", "response": {"id": "r", "output": []}},
    {"type": "response.in_progress", "response": {"id": "r", "output": []}},
]


def test_the_events_that_come_before_the_prompt_is_read_are_no_token(own: Pair) -> None:
    it, a, _ = own
    text = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in RESPONSES)
    a.behave(
        path_prefix="/v1/",
        raw="HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
        + text,
    )
    line = until_a_was_first(it, "m", "/v1/responses")
    assert "a closed before its first token" in line["why"]


def test_no_other_setting_is_needed_for_it(own: Pair, engine: str) -> None:
    """The server in between is there where nothing else needs it."""
    _, a, b = own
    a.behave(path_prefix="/v1/", die="after_headers")
    smallest = f"""
backends: {{ a: {{ url: {a.url}, engine: vllm }}, b: {{ url: {b.url}, engine: vllm }} }}
models: {{ m: [a, b] }}
"""
    with gateway(engine, smallest) as it:
        until_a_was_first(it, "m")


def test_a_character_that_comes_in_two_pieces_before_the_token_is_whole(engine: str) -> None:
    """Those events hold the instructions, in whatever language they are."""
    events = f"event: response.created\ndata: {json.dumps({'of': 'é' * 9}, ensure_ascii=False)}\n\n"
    whole = events.encode() + b'event: response.completed\ndata: {"type":"response.completed"}\n\n'
    end = len(events.encode())
    cut = whole.index("é".encode()) + 1

    class Halves(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for piece in (whole[:cut], whole[cut:end], whole[end:]):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(0.3)  # else they may come as one

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Halves) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"{{ url: http://127.0.0.1:{server.server_port}, engine: vllm }}"
        text = f"backends: {{ a: {url}, b: {url} }}\nmodels: {{ m: [a, b] }}\n"
        with gateway(engine, text) as it:
            assert streamed(it, "m", "/v1/responses").content == whole
        server.shutdown()
