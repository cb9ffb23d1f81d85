"""A stream that breaks off and is gone on with has the text of one that did not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infergate.api.caller import Caller
from infergate.api.connection import Unanswered
from infergate.api.continued import Continued
from infergate.api.dialects import chat
from infergate.api.sse import Reader
from infergate.contract.tier import Continuing

Body = dict[str, Any]
CHAT, TEXT = chat.PATH, "/v1/completions"
GATEWAYS_WORD = (
    b'\n\ndata: {"error":{"message":"The backend broke off in the middle of its answer.",'
    b'"type":"server_error","param":null,"code":"stream_truncated"}}\n\n'
)
"""njs/stream.js."""

ANSWERS = {
    "words": ["Once", " upon", " a", " time", ",\n\n", "  there", " was", " a", " gateway", "."],
    "characters": ["naïve", " 日本", "語", " 👩‍🚀", "\u2028", " e\u0301"],
    "halves": ["a ", "\ud83d", "\ude00", " b", "\ud83d", "\ude80", "c"],
    "spaces": [" ", "\n", "    ", "return", " ", " x", "\n", "\n"],
}
"""In the pieces that a backend sends."""


def whole(pieces: Sequence[str]) -> str:
    return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Piecewise:
    """An answer (api/connection.py). cut: the bytes that come of it, and how it ends then."""

    status = 200

    def __init__(self, stream: bytes, cut: tuple[int, str] | None, name: str) -> None:
        end, how = cut or (len(stream), "")
        self._parts = [stream[:end], *([GATEWAYS_WORD] if how == "told" else [])]
        self._breaks = how == "reset"
        self.headers = [
            (b"content-type", b"text/event-stream"),
            (Continuing.SERVED_BY.encode(), name.encode()),
        ]

    def header(self, name: bytes) -> str:
        return dict(self.headers).get(name, b"").decode()

    async def part(self) -> bytes:
        while self._parts:
            if part := self._parts.pop(0):
                return part
        if self._breaks:
            raise Unanswered
        return b""


class Backends:
    """Deterministic ones: each goes on with what the request ends with, and breaks off as told.

    cuts: of each answer the bytes that come, and then how it ends; the last answer comes whole.
    """

    def __init__(self, path: str, pieces: Sequence[str], cuts: Sequence[tuple[int, str]]) -> None:
        self.path, self.pieces, self.cuts = path, pieces, list(cuts)
        self.asked: list[tuple[Body, str]] = []
        self.wanted = whole(pieces)

    @asynccontextmanager
    async def ask(
        self, _: Caller, method: str, path: str, body: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> AsyncIterator[Piecewise]:
        number = len(self.asked)
        asked = json.loads(body)
        self.asked.append((asked, dict(headers)[Continuing.HEADER.encode()].decode()))
        assert (method, path) == ("POST", self.path)
        cut = self.cuts[number] if number < len(self.cuts) else None
        stream = b"".join(self.events(asked, number))
        yield Piecewise(stream, cut, f"b{number}")

    def so_far(self, asked: Body) -> str:
        if self.path == TEXT:
            return str(asked["prompt"]).removeprefix("P:")
        last = asked["messages"][-1]
        return str(last["content"]) if last["role"] == "assistant" else ""

    def events(self, asked: Body, number: int) -> Iterator[bytes]:
        had = self.so_far(asked)
        assert self.wanted.startswith(had)
        rest = self.pieces if had == "" else _in_threes(self.wanted[len(had) :])
        base = {"id": f"id{number}", "created": number, "model": f"m{number}", "object": "o"}

        def event(choice: Body, **more: Any) -> bytes:
            choices = [{"index": 0, "finish_reason": None, **choice}]
            return f"data: {json.dumps({**base, 'choices': choices, **more})}\n\n".encode()

        if self.path == CHAT:
            yield event({"delta": {"role": "assistant", "content": ""}})
        for each in rest:
            yield event({"delta": {"content": each}} if self.path == CHAT else {"text": each})
        yield event({"delta": {}, "finish_reason": "stop"})
        if (asked.get("stream_options") or {}).get("include_usage"):
            spent = {"prompt_tokens": 5 + len(had), "completion_tokens": len(rest)}
            told = {**base, "choices": [], "usage": {**spent, "total_tokens": 0}}
            yield f"data: {json.dumps(told)}\n\n".encode()
        yield b"data: [DONE]\n\n"


def _in_threes(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def read(backends: Backends, asked: Body, times: int = 9) -> list[Body | str]:
    """The events that the client of such a stream gets."""
    return asyncio.run(reading(backends, asked, times))


async def reading(backends: Backends, asked: Body, times: int = 9) -> list[Body | str]:
    sent = bytearray()

    async def send(message: Any) -> None:
        sent.extend(message.get("body", b""))

    scope = {"path": backends.path, "raw_path": backends.path.encode(), "query_string": b""}
    caller = Caller("t", "p", "c", "continue", times)
    body = json.dumps(asked).encode()
    of: Any = backends
    await Continued(of, caller, {**scope, "headers": []}, body, send).answer(10**6)
    return [json.loads(each) if each[:1] == b"{" else each.decode() for each in Reader().feed(sent)]


def text_of(events: Sequence[Body | str]) -> str:
    found = []
    for each in events:
        for choice in each.get("choices", []) if isinstance(each, dict) else []:
            found.append(choice["text"] if "text" in choice else choice["delta"].get("content", ""))
    return whole(found)


def request(path: str, **more: Any) -> Body:
    asked = {"messages": [{"role": "user", "content": "hi"}]} if path == CHAT else {"prompt": "P:"}
    return {"model": "m", "stream": True, **asked, **more}


def failed(events: Sequence[Body | str]) -> bool:
    return any(isinstance(each, dict) and "error" in each for each in events)


@pytest.mark.parametrize("how", ["reset", "told"])
@pytest.mark.parametrize("path", [CHAT, TEXT])
@pytest.mark.parametrize("answer", sorted(ANSWERS))
def test_a_cut_at_any_byte_is_not_seen_in_the_text(answer: str, path: str, how: str) -> None:
    pieces = ANSWERS[answer]
    asked = request(path, stream_options={"include_usage": True})
    stream = b"".join(Backends(path, pieces, []).events(asked, 0))

    async def each_byte() -> None:
        for at in range(len(stream)):
            backends = Backends(path, pieces, [(at, how)])
            events = await reading(backends, asked)
            assert text_of(events) == backends.wanted, at
            assert (events[-1], events.count("[DONE]"), failed(events)) == ("[DONE]", 1, False), at
            assert len({(each["id"], each["model"]) for each in events[:-1]}) == 1, at  # type: ignore[index]

    asyncio.run(each_byte())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pieces=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=8),
    cuts=st.lists(st.tuples(st.integers(0, 1500), st.sampled_from(["reset", "told"])), max_size=4),
    path=st.sampled_from([CHAT, TEXT]),
)
def test_any_text_is_whole_after_any_cuts(
    pieces: list[str], cuts: list[tuple[int, str]], path: str
) -> None:
    backends = Backends(path, pieces, cuts)
    events = read(backends, request(path))
    assert text_of(events) == backends.wanted
    assert not failed(events)


def after_two_words(pieces: Sequence[str] = ANSWERS["words"], path: str = CHAT) -> int:
    stream = b"".join(Backends(path, pieces, []).events(request(path), 0))
    return stream.index(json.dumps(pieces[2]).encode())


def test_what_is_told_and_asked_after_a_cut() -> None:
    asked = request(CHAT, max_tokens=20, stream_options={"include_usage": True}, min_tokens=1)
    backends = Backends(CHAT, ANSWERS["words"], [(after_two_words(), "told")])
    events: list[Any] = read(backends, asked)
    (_, first), (second, again) = backends.asked
    assert (first, again) == ("-", "+b0,")
    assert second["messages"][-1] == {"role": "assistant", "content": "Once upon"}
    assert (second["max_tokens"], second["min_tokens"]) == (18, 0)
    marks = [each.get("infergate") for each in events[:-1]]
    assert marks[:3] == [None] * 3
    assert {json.dumps(each) for each in marks[3:]} == {'{"continued": 1}'}
    assert [e for e in events[:-1] if any("role" in c["delta"] for c in e["choices"])] == events[:1]
    prompt, rest = 5 + len("Once upon"), -(-len(backends.wanted[len("Once upon") :]) // 3)
    usage = events[-2]["usage"]
    assert usage["prompt_tokens"] == prompt - 2
    assert usage["completion_tokens"] == rest + 2


def test_a_text_that_is_said_again_from_its_beginning_is_not_told_twice() -> None:
    pieces = ["A long ", "text of ", *["many words, "] * 9, "and an end."]
    stream = b"".join(Backends(CHAT, pieces, []).events(request(CHAT), 0))
    backends = Backends(CHAT, pieces, [(stream.rindex(b"many words"), "told")])
    own = backends.events

    def again(asked: Body, number: int) -> Iterator[bytes]:
        if had := backends.so_far(asked):
            choice = {"index": 0, "delta": {"content": had}, "finish_reason": None}
            yield f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
        yield from own(asked, number)

    backends.events = again  # type: ignore[method-assign]
    assert text_of(read(backends, request(CHAT))) == backends.wanted


def test_an_answer_that_was_only_to_end_ends() -> None:
    pieces = ANSWERS["words"]
    backends = Backends(CHAT, pieces, [(after_two_words(), "reset")])
    events: list[Any] = read(backends, request(CHAT, max_tokens=2))
    assert len(backends.asked) == 1
    assert text_of(events) == "Once upon"
    assert events[-2]["choices"][0]["finish_reason"] == "length"
    assert events[-1] == "[DONE]"


def test_it_is_gone_on_with_as_often_as_the_model_says() -> None:
    backends = Backends(CHAT, ANSWERS["words"], [(0, "told")] * 9)
    events = read(backends, request(CHAT), times=2)
    assert len(backends.asked) == 3
    assert [how for _, how in backends.asked] == ["-", "-b0,", "-b0,b1,"]
    assert failed(events)


UNABLE: dict[str, tuple[str, Body]] = {
    "two answers": (CHAT, {"n": 2}),
    "rules": (CHAT, {"response_format": {"type": "json_object"}}),
    "vLLM's rules": (CHAT, {"structured_outputs": {"regex": "a"}}),
    "a text of the client's": (
        CHAT,
        {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]},
    ),
    "tokens": (TEXT, {"prompt": [1, 2]}),
    "several prompts": (TEXT, {"prompt": ["a", "b"]}),
    "an echo": (TEXT, {"echo": True}),
    "what comes behind": (TEXT, {"suffix": "b"}),
    "places in the text": (TEXT, {"logprobs": 1}),
}


@pytest.mark.parametrize("what", sorted(UNABLE))
def test_what_cannot_be_gone_on_with_is_told_as_ever(what: str) -> None:
    path, more = UNABLE[what]
    words = ANSWERS["words"]
    backends = Backends(path, words, [(after_two_words(words, path), "told")])
    backends.so_far = lambda _: ""  # type: ignore[method-assign]
    events: list[Any] = read(backends, request(path, **more))
    assert len(backends.asked) == 1
    assert events[-1]["error"]["code"] == "stream_truncated"


BEGUN: dict[str, Body] = {
    "a call": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]},
    "a thought": {"reasoning_content": "hm"},
    "a refusal": {"refusal": "no"},
}


@pytest.mark.parametrize("what", sorted(BEGUN))
def test_what_is_no_text_is_not_gone_on_with(what: str) -> None:
    backends = Backends(CHAT, ["a", "b"], [(10**6, "told")])
    backends.events = _telling(BEGUN[what])  # type: ignore[method-assign]
    events: list[Any] = read(backends, request(CHAT))
    assert len(backends.asked) == 1
    assert events[-1]["error"]["code"] == "stream_truncated"


def _telling(delta: Body) -> Callable[[Body, int], Iterator[bytes]]:
    def events(_: Body, __: int) -> Iterator[bytes]:
        for each in ({"content": "a"}, delta):
            yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': each}]})}\n\n".encode()

    return events


@pytest.mark.parametrize("code", [400, "invalid_request_error"])
def test_an_error_of_the_request_is_one_anywhere(code: object) -> None:
    error = {"code": code} if isinstance(code, int) else {"type": code}
    backends = Backends(CHAT, [], [])
    told = f"data: {json.dumps({'error': error})}\n\n".encode()
    backends.events = lambda *_: iter([told])  # type: ignore[method-assign]
    assert read(backends, request(CHAT)) == [{"error": error}]
    assert len(backends.asked) == 1
