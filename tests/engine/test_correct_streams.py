"""A stream tells the truth: its tokens are counted, and a broken one does not look finished."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx
import pytest

from infergate.live import shared_memory
from infergate.paths import Home
from tests.access_log import tokens
from tests.backends.servers import Scripted
from tests.engine.conftest import Pair
from tests.engine.failing import Failing
from tests.gateway import Gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  o: {{ url: {o}, engine: ollama }}
models:
  m: [a]
  l: [o]
  falls: {{ backends: [o], upstream_name: l, fallback: [m] }}
breaker: {{ failures: 1000, error_rate: 1 }}
"""


def read(it: Gateway, path: str, body: dict, *, key: str | None = None) -> tuple[bytes, bool]:
    """The bytes of a stream, and whether it ended as HTTP says it should."""
    got = b""
    url = it.url + path
    try:
        with httpx.stream("POST", url, headers=it.headers(key), json=body, timeout=10) as answer:
            for piece in answer.iter_raw():
                got += piece
    except httpx.RemoteProtocolError:
        return got, False
    return got, True


def events(got: bytes) -> list[dict]:
    lines = [line[6:] for line in got.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def sends(backend: Scripted, pieces: list[bytes]) -> None:
    """Lets it answer with a stream of exactly these pieces."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    backend.behave(path_prefix="/v1/chat", raw=(head + b"\r\n" + body).decode("latin-1"))


CHAT = {"model": "m", "stream": True}


def test_usage_is_asked_for_counted_and_kept_from_who_did_not_ask(own: Pair) -> None:
    it, a, _ = own
    got, _ = read(it, "/v1/chat/completions", CHAT)
    assert json.loads(a.requests()[0]["body"])["stream_options"] == {"include_usage": True}
    assert all(event["choices"] for event in events(got))
    assert got.endswith(b"data: [DONE]\n\n")
    assert tokens(it.log()[-1]) == [7, 5, 0]


def test_who_asks_for_usage_gets_it_as_the_backend_sent_it(own: Pair) -> None:
    it, a, _ = own
    body = {**CHAT, "stream_options": {"include_usage": True}}
    got, _ = read(it, "/v1/chat/completions", body)
    assert [event["usage"]["total_tokens"] for event in events(got) if not event["choices"]] == [12]
    assert got == httpx.post(a.url + "/v1/chat/completions", json=body).content
    assert tokens(it.log()[-1]) == [7, 5, 0]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_usage_is_found_and_taken_out_however_the_bytes_are_cut(own: Pair, size: int) -> None:
    it, a, _ = own
    whole, _ = read(it, "/v1/chat/completions", CHAT)
    direct = httpx.post(
        a.url + "/v1/chat/completions", json={**CHAT, "stream_options": {"include_usage": True}}
    ).content
    sends(a, [direct[i : i + size] for i in range(0, len(direct), size)])
    got, complete = read(it, "/v1/chat/completions", CHAT)
    assert complete
    assert got == whole
    assert tokens(it.log()[-1]) == [7, 5, 0]


@pytest.mark.parametrize("size", [7, 1000])
@pytest.mark.parametrize("beside", ["event: message\n{}", "id: 7\n: {{}}\n{}", "{}id: {{8}}\n"])
def test_usage_is_taken_out_whatever_lines_its_event_has_beside_its_data(
    own: Pair, beside: str, size: int
) -> None:
    it, a, _ = own
    chunk = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    last = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}, "more": 1}
    finish, usage, joined = (
        (beside.format(f"data: {json.dumps(each, separators=(',', ':'))}\n") + "\n").encode()
        for each in (chunk, last, {**chunk, "more": 1})
    )
    whole = finish + usage + DONE.encode()
    sends(a, [whole[i : i + size] for i in range(0, len(whole), size)])
    got, complete = read(it, "/v1/chat/completions", CHAT)
    assert (got, complete) == (joined + DONE.encode(), True)
    assert tokens(it.log()[-1]) == [7, 5, 0]


@pytest.mark.parametrize("size", [1, 40, 100, 333, 1000, 5000])
def test_usage_is_found_at_the_end_of_a_long_stream(own: Pair, size: int) -> None:
    """Of such a stream the last bytes are kept, not all: also where a comment stands after them."""
    it, a, _ = own
    content = json.dumps({"choices": [{"delta": {"content": "x" * 700}}], "usage": None})
    usage = json.dumps({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 8}})
    whole = (
        f"data: {content}\n\n" * 30 + f"data: {usage}\n\n: {'y' * 900}\n\ndata: [DONE]\n\n"
    ).encode()
    sends(a, [whole[i : i + size] for i in range(0, len(whole), size)])
    asked = {**CHAT, "stream_options": {"include_usage": True}}
    assert read(it, "/v1/chat/completions", asked) == (whole, True)
    line = it.log()[-1]
    assert (tokens(line), line["error"]) == ([9, 8, 0], "")


@pytest.mark.parametrize("length", [1, 60, 500])
def test_of_a_long_stream_that_tells_no_usage_each_event_is_a_token(own: Pair, length: int) -> None:
    it, a, _ = own
    event = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % (b"x" * length)
    sends(a, [event] * 700 + [b"data: [DONE]\n\n"])
    got, _ = read(it, "/v1/chat/completions", {**CHAT, "stream_options": {"include_usage": True}})
    assert got.count(event) == 700
    _, counted, _, _ = tokens(it.log()[-1]) or []
    assert 701 <= counted < 1000  # one that nginx reads in two parts counts twice


def test_tokens_of_an_answer_in_one_piece_are_counted(own: Pair) -> None:
    it, _, _ = own
    assert it.chat().status_code == 200
    assert tokens(it.log()[-1]) == [7, 5, 0]
    assert it.post("/api/chat", {"model": "l", "stream": False}).status_code == 200
    assert tokens(it.log()[-1]) == [7, 5, 0]


def test_usage_with_details_tells_what_was_cached(own: Pair) -> None:
    it, a, _ = own
    usage = {
        "prompt_tokens": 70,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens": 3,
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    a.behave(path_prefix="/v1/chat", body=json.dumps({"choices": [], "usage": usage}))
    it.chat()
    assert tokens(it.log()[-1]) == [70, 3, 64]


def test_a_client_that_leaves_is_still_counted(own: Pair) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/chat", chunk_delay_s=0.05, chunks=1000)
    url = it.url + "/v1/chat/completions"
    with httpx.stream("POST", url, headers=it.headers(), json=CHAT) as answer:
        lines = answer.iter_lines()
        for _ in range(8):
            next(lines)
    until(lambda: tokens(it.log()[-1]))
    _, counted, _, guessed = tokens(it.log()[-1]) or []
    assert 3 <= counted <= 8
    assert guessed == 1


@pytest.mark.parametrize("die", ["mid_stream", "after_headers"])
def test_a_stream_that_breaks_off_ends_in_an_error_event(own: Pair, die: str) -> None:
    it, a, _ = own
    a.behave(path_prefix="/v1/chat", die=die, chunk_delay_s=0.02)
    got, complete = read(it, "/v1/chat/completions", CHAT)
    assert not complete
    assert b"[DONE]" not in got
    if die == "mid_stream":
        assert events(got)[-1]["error"]["code"] == "stream_truncated"
        assert not any(choice["finish_reason"] for e in events(got)[:-1] for choice in e["choices"])
        assert it.log()[-1]["error"] == "stream_truncated"
    until(lambda: it.backend("a")["in_flight"] == 0)


def test_a_stream_closed_without_its_end_is_not_taken_for_finished(own: Pair) -> None:
    it, a, _ = own
    event = 'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    a.behave(path_prefix="/v1/chat", raw=head + event)
    got, _ = read(it, "/v1/chat/completions", CHAT)
    assert events(got)[-1]["error"]["code"] == "stream_truncated"


def test_ollama_s_stream_breaks_off_in_ollama_s_way(own: Pair) -> None:
    it, _, o = own
    o.behave(path_prefix="/api/chat", die="mid_stream", chunk_delay_s=0.02)
    got, _ = read(it, "/api/chat", {"model": "l"})
    lines = [json.loads(line) for line in got.decode().splitlines() if line]
    assert set(lines[-1]) == {"error"}
    assert not any(line.get("done") for line in lines)


def test_an_error_inside_a_good_stream_is_seen_and_passed_on(own: Pair) -> None:
    it, a, _ = own
    text = 'data: {"error": {"message": "engine died", "code": 500}}\n\ndata: [DONE]\n\n'
    a.behave(path_prefix="/v1/chat", headers={"content-type": "text/event-stream"}, body=text)
    got, _ = read(it, "/v1/chat/completions", CHAT)
    assert got.decode() == text
    assert it.log()[-1]["error"] == "stream_error"


def test_the_words_usage_and_error_in_a_text_mean_nothing(own: Pair) -> None:
    it, a, _ = own
    said = json.dumps('"usage":{"prompt_tokens":9} "error" [DONE]')
    text = f'data: {{"choices": [{{"delta": {{"content": {said}}}}}]}}\n\ndata: [DONE]\n\n'
    a.behave(path_prefix="/v1/chat", headers={"content-type": "text/event-stream"}, body=text)
    got, complete = read(it, "/v1/chat/completions", CHAT)
    assert complete
    assert got.decode() == text
    entry = it.log()[-1]
    assert (entry["error"], entry["tokens_estimated"]) == ("", True)


def say(content: str, finish: str | None = None, index: int = 0) -> str:
    """An event of a chat."""
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


DONE = "data: [DONE]\n\n"
USED = 'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n'
CREATED = 'event: response.created\ndata: {"type":"response.created","response":{}}\n\n'
SEVERAL = 'data: {"choices":[{"index":0,"delta":{},\ndata: "finish_reason":%s}]}\n\n'
"""An event of a chat whose data stands in several lines, as SSE allows."""
COMPLETED = 'event: response.{0}\ndata: {{"type":"response.{0}","response":{{"id":"x"}}}}\n\n'
MESSAGE = 'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"x"}}\n\n'
DEEP = 'data: {"type":"response.completed","response":' + '{"a":' * 40 + "1" + "}" * 41
STOP = 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
LINE, DONE_LINE = '{"response":"a","done":false}\n', '{"response":"","done":true}\n'

WHOLE = {
    "said why it stops": ("/v1/chat/completions", say("a") + say("", "stop")),
    "and what it used": ("/v1/chat/completions", say("a", "length") + USED),
    "each choice": ("/v1/chat/completions", say("a", "stop", 1) + say("", "stop")),
    "its word has no line end": ("/v1/chat/completions", say("a") + DONE.strip()),
    "its word has one line end": ("/v1/chat/completions", say("a") + DONE.strip() + "\n"),
    "data in several lines": ("/v1/chat/completions", say("a") + SEVERAL % '"stop"'),
    "lines end as on Windows": ("/v1/chat/completions", (say("a") + DONE).replace("\n", "\r\n")),
    "completions": (
        "/v1/completions",
        'data: {"choices":[{"text":"a","finish_reason":"stop"}]}\n\n',
    ),
    "response.completed": ("/v1/responses", CREATED + COMPLETED.format("completed")),
    "response.incomplete": ("/v1/responses", CREATED + COMPLETED.format("incomplete")),
    "message_stop": ("/v1/messages", MESSAGE + STOP),
    "Ollama's done": ("/api/generate", LINE + DONE_LINE),
    "Ollama's done without a line end": ("/api/chat", LINE + DONE_LINE.strip()),
    "and then what it used": ("/v1/chat/completions", say("a") + say("", "stop") + USED + DONE),
    "too deep to be read": ("/v1/responses", CREATED + DEEP + "\n\n"),
    "an endpoint that nobody knows the end of": ("/v1/audio/speech", say("a")),
}
"""Streams that came to their end."""

CUT = {
    "no reason to stop": ("/v1/chat/completions", say("a") + say("b")),
    "one choice of two": ("/v1/chat/completions", say("a", "stop", 1) + say("b")),
    "data in several lines": ("/v1/chat/completions", say("a", "stop") + SEVERAL % "null"),
    "the word in a text": ("/v1/chat/completions", say("data: [DONE]") + say("[DONE]")),
    "the word in halves": ("/v1/chat/completions", say("a") + "data: [DO"),
    "completions": ("/v1/completions", 'data: {"choices":[{"text":"a","finish_reason":null}]}\n\n'),
    "no response.completed": ("/v1/responses", CREATED),
    "half a response.completed": ("/v1/responses", CREATED + COMPLETED.format("completed")[:-9]),
    "no message_stop": ("/v1/messages", MESSAGE),
    "torn at a line's end": ("/v1/chat/completions", say("a", "stop")[:-9] + "\n"),
    "torn at an event's end": ("/v1/chat/completions", say("a", "stop")[:-9] + "\n\n"),
    "a torn text": ("/v1/completions", 'data: {"choices":[{"index":0,"text":"}}]}\n'),
    "a torn response.completed": (
        "/v1/responses",
        CREATED + COMPLETED.format("completed")[:-9] + "\n",
    ),
    "torn, and too deep to be read": ("/v1/responses", CREATED + DEEP[:-9] + "\n\n"),
    "a torn message_stop": ("/v1/messages", MESSAGE + STOP[:-5] + "\n"),
    "Ollama's done is torn": ("/api/chat", LINE + DONE_LINE[:-4] + "\n"),
    "Ollama's done is missing": ("/api/generate", LINE),
    "Ollama's done in a call": (
        "/api/chat",
        '{"message":{"tool_calls":[{"function":{"arguments":{"done":true}}}]},"done":false}\n',
    ),
}
"""Streams that were closed as HTTP has it, before their end."""


def close_after(backend: Scripted, path: str, text: str) -> None:
    kind = "application/x-ndjson" if path.startswith("/api/") else "text/event-stream"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n"
    backend.behave(path_prefix="/", raw=head + text)


def read_all(
    own: Pair, path: str, text: str, **more: object
) -> list[tuple[str, bytes, dict[str, Any]]]:
    """By the short way and by the long one, and once more with lines that end in CR, as SSE's may:
    what was sent, what came, and the line of the log."""
    it, a, o = own
    backend, model = (o, "l") if path.startswith("/api/") else (a, "m")
    body = {"model": model, "stream": True, "messages": [], "prompt": "a", "input": "a", **more}
    cr = text if backend is o else text.replace("\n", "\r")
    found = []
    for sent, pad in ((text, {}), (text, {"pad": "x" * 30_000}), (cr, {})):
        backend.reset()
        close_after(backend, path, sent)
        found.append((sent, read(it, path, {**body, **pad})[0]))
    lines = it.log()[-3:]
    return [(sent, got, line) for (sent, got), line in zip(found, lines, strict=True)]


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_stream_is_not_taken_for_a_cut_one(own: Pair, case: str) -> None:
    path, text = WHOLE[case]
    for sent, got, line in read_all(own, path, text):
        assert got.decode() == sent.replace(USED, "").replace(USED.replace("\n", "\r"), "")
        assert line["error"] == ""
    assert failures_of(own[0]) == 0


@pytest.mark.parametrize("case", CUT)
def test_a_cut_stream_is_not_taken_for_a_whole_one(own: Pair, case: str) -> None:
    path, text = CUT[case]
    for sent, got, line in read_all(own, path, text):
        assert got.decode().startswith(sent)
        assert b"broke off" in got[len(sent) :]
        assert line["error"] == "stream_ended_early"
    assert failures_of(own[0]) == 3


LATE = "".join(say("x" * 90, None, index) for index in (0, 1) * 40)
"""More than is kept of a stream, of two choices."""

SEVERAL_CHOICES: dict[str, tuple[str, dict[str, Any]]] = {
    "n": ("/v1/chat/completions", {"n": 3}),
    "n, and its usage": (
        "/v1/chat/completions",
        {"n": 3, "stream_options": {"include_usage": True}},
    ),
    "prompts": ("/v1/completions", {"prompt": ["a", "b", "c"]}),
}


@pytest.mark.parametrize("case", SEVERAL_CHOICES)
@pytest.mark.parametrize("finish", [None, "stop"])
def test_a_choice_that_spoke_long_ago_has_to_say_why_it_stops_too(
    own: Pair, case: str, finish: str | None
) -> None:
    path, more = SEVERAL_CHOICES[case]
    text = say("a", finish, 2) + LATE + say("", "stop") + say("", "stop", 1)
    for sent, got, line in read_all(own, path, text, **more):
        assert got.decode().startswith(sent)
        assert (got.decode() == sent) is (finish is not None)
        assert line["error"] == ("" if finish else "stream_ended_early")


_FAILURES = 3  # its place in an entry of njs/breaker.js


def failures_of(it: Gateway) -> int:
    """What the breakers know of."""
    return sum(
        each[_FAILURES] for each in shared_memory.read(Home(it.home).socket).breakers.values()
    )


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/responses"])
@pytest.mark.parametrize(
    "sent", ["", '{"a":1', '{"usage":{"prompt_tokens":7,"completion_tokens":5},']
)
def test_an_answer_that_breaks_off_is_a_failure_of_its_backend(
    own: Pair, path: str, sent: str
) -> None:
    it, a, _ = own
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
    a.behave(path_prefix="/v1/", raw=head + sent)
    for more in ({}, {"pad": "x" * 30_000}):
        body = {"model": "m", "messages": [], "input": "a", **more}
        got, complete = read(it, path, body)
        assert (got.decode(), complete) == (sent, False)
        line = it.log()[-1]
        assert (line["status"], line["error"]) == (200, "answer_truncated")
    assert failures_of(it) == 2
    assert it.backend("a")["in_flight"] == 0


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_a_stream_that_is_reset_ends_in_an_error_event_of_its_dialect(own: Pair, path: str) -> None:
    it, a, _ = own
    text = "event: ping\ndata: {}\n\n"
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 500\r\n\r\n"
    a.behave(path_prefix="/v1/", raw=head + text)
    got, complete = read(it, path, {"model": "m", "stream": True, "messages": [], "input": "a"})
    assert not complete
    assert events(got)[-1]["type"] == "error"
    assert it.log()[-1]["error"] == "stream_truncated"


ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "/api/chat": {"messages": [{"role": "user", "content": "hi"}]},
}
WAYS: dict[str, dict[str, Any]] = {"short": {}, "long": {"user": "x" * 20_000}}
"""A body of 20 kB takes the long way."""


@pytest.fixture(scope="module")
def failing(running: Pair) -> Failing:
    functions = [
        "finish",
        "unasked$nearest",
        "stream_kept$countEvents",
        "answer$look",
        "stream$begin",
    ]
    return Failing(running[0], dict.fromkeys(["hot.js", "answer.js"], functions))


@pytest.mark.parametrize("path", ASKED)
def test_a_stream_that_the_gateway_fails_on_says_so_to_the_client_and_in_the_log(
    own: Pair, failing: Failing, path: str
) -> None:
    it, _, _ = own
    has_failed = {
        "/v1/messages": lambda it: it["error"]["type"] == "api_error",
        "/v1/responses": lambda it: it["code"] == "server_error",
        "/api/chat": lambda it: isinstance(it["error"], str),
    }.get(path, lambda it: it["error"]["code"] == "server_error")
    for function in ("finish", *(["unasked$nearest"] if "completions" in path else [])):
        with failing(function):
            for way, more in WAYS.items():
                model = "l" if path == "/api/chat" else "m"
                got, _ = read(it, path, {"model": model, "stream": True, **ASKED[path], **more})
                last = got.decode().strip().splitlines()[-1].removeprefix("data: ")
                assert has_failed(json.loads(last)), (function, way, got)
                until(lambda: it.log()[-1]["error"] == "server_error")
                assert (it.log()[-1]["status"], it.log()[-1]["uri"]) == (200, path)
    assert it.status()["backends"][0]["in_flight"] == 0, "its slot is free"


def test_nothing_comes_behind_what_a_client_is_told_when_the_gateway_fails(
    own: Pair, failing: Failing
) -> None:
    """Of pieces that are passed on without a look, too: the long one is looked at."""
    it, a, _ = own
    usual = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    for asked in ({"stream_options": {"include_usage": True}}, {}):
        sends(a, [usual] * 8 + [usual * 10] + [usual] * 8 + [b"data: [DONE]\n\n"])
        with failing("stream_kept$countEvents"):
            got, _ = read(it, "/v1/chat/completions", {**CHAT, **asked})
        assert b"server_error" in got.strip().splitlines()[-1]


@pytest.mark.parametrize("function", ["answer$look", "stream$begin"])
def test_an_answer_that_the_gateway_fails_on_is_an_error_in_the_log(
    own: Pair, failing: Failing, function: str
) -> None:
    """Its head has gone out already: all that is left is to close the connection."""
    it, _, _ = own
    with failing(function):
        for more in WAYS.values():
            for streams in (False, True):
                if (function, streams, more) == ("stream$begin", False, {}):
                    continue  # the short way knows that it is none
                lines = len(it.log())
                with suppress(httpx.RemoteProtocolError):
                    it.chat("m", stream=streams, **more)
                until(lambda lines=lines: len(it.log()) > lines)
                line = it.log()[-1]
                assert (line["error"], line["completed"]) == ("server_error", False)


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_whose_engine_lacks_the_endpoint_is_no_fallback(own: Pair, stream: bool) -> None:
    it, a, o = own
    o.behave(path_prefix="/", status=503)
    it.forget_failures()
    refused = it.post("/api/chat", {"model": "falls", "messages": [], "stream": stream})
    assert refused.status_code == 503
    assert "`falls`" in refused.json()["error"]
    assert it.log()[-1]["gen_ai.request.model"] == "falls"
    it.forget_failures()
    answer = it.chat("falls", stream=stream)
    assert (answer.status_code, answer.headers["x-infergate-model"]) == (200, "m")
    assert not a.requests("/api/")
