"""Answers of servers of OpenAI's API, as Anthropic's official client reads them."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic.types import Message

from tests import dialects
from tests.dialects import chunk, piece

ULM, BONN = '{"town": "Ulm"}', '{"town": "Bonn"}'


def client(backend: dialects.Backend) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="k",
        base_url="http://gateway",
        http_client=backend.client(),
        max_retries=0,
        _strict_response_validation=True,
    )


def asked(**more: Any) -> dict[str, Any]:
    hello = [{"role": "user", "content": "hello"}]
    return {"model": "m", "max_tokens": 9, "messages": hello, **more}


def whole(answer: dict[str, Any], **more: Any) -> Message:
    return client(dialects.Backend(answer)).messages.create(**asked(**more))


def streamed(chunks: list[dict[str, Any]], **more: Any) -> Message:
    """By the client's own helper, which puts events together."""
    with client(dialects.Backend(chunks)).messages.stream(**asked(**more)) as stream:
        return stream.get_final_message()


def blocks(message: Message) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for each in message.content:
        match each.type:
            case "text":
                found.append((each.type, each.text))
            case "thinking":
                found.append((each.type, each.thinking))
            case "tool_use":
                found.append((each.id, each.input))
    return found


def stream_of(*deltas: dict[str, Any], finish: str = "stop", **last: Any) -> list[dict[str, Any]]:
    end = {**chunk(content="", finish=finish)}
    end["choices"][0].update(last)
    return [
        chunk(role="assistant", content=None),
        *(chunk(**delta) for delta in deltas),
        end,
        chunk(usage=dialects.USAGE),
    ]


def test_a_text_whole_and_streamed() -> None:
    for message in (
        whole(dialects.answer(content="hi there")),
        streamed(stream_of({"content": "hi "}, {"content": "there"})),
    ):
        assert (message.id, message.role, message.model) == ("msg_7", "assistant", "m")
        assert blocks(message) == [("text", "hi there")]
        assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
        assert message.usage.input_tokens == 3
        assert message.usage.cache_read_input_tokens == 8
        assert message.usage.output_tokens == 5


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_what_the_model_thinks_is_a_block_before_its_words(name: str) -> None:
    for message in (
        whole(dialects.answer(content="hi", **{name: "Hm."})),
        streamed(stream_of({name: "H"}, {name: "m."}, {"content": "hi"})),
    ):
        assert blocks(message) == [("thinking", "Hm."), ("text", "hi")]


def test_who_wants_no_thoughts_gets_none() -> None:
    for thinking in ({"type": "disabled"}, {"type": "adaptive", "display": "omitted"}):
        answer = dialects.answer(content="hi", reasoning="Hm.")
        assert blocks(whole(answer, thinking=thinking)) == [("text", "hi")]
        chunks = stream_of({"reasoning": "Hm."}, {"content": "hi"})
        assert blocks(streamed(chunks, thinking=thinking)) == [("text", "hi")]


CALLS = {
    "one after the other": [
        piece(0, "", name="weather", id="a"),
        piece(0, '{"town": '),
        piece(0, '"Ulm"}'),
        piece(1, "", name="weather", id="b"),
        piece(1, BONN),
    ],
    "interleaved": [
        piece(0, "", name="weather", id="a"),
        piece(1, "", name="weather", id="b"),
        piece(0, '{"town": '),
        piece(1, '{"town": "B'),
        piece(0, '"Ulm"}'),
        piece(1, 'onn"}'),
    ],
    "in one chunk": [
        {
            "tool_calls": [
                {"index": n, **dialects.call(id, "weather", given)}
                for n, (id, given) in enumerate({"a": ULM, "b": BONN}.items())
            ]
        }
    ],
    "all numbered 0": [
        piece(0, ULM, name="weather", id="a"),
        piece(0, BONN, name="weather", id="b"),
    ],
    "with name and id in each piece": [
        piece(0, '{"town": ', name="weather", id="a"),
        piece(0, '"Ulm"}', name="weather", id="a"),
        piece(1, BONN, name="weather", id="b"),
    ],
}


@pytest.mark.parametrize("how", CALLS)
def test_parallel_calls_of_tools(how: str) -> None:
    message = streamed(stream_of({"content": "I look."}, *CALLS[how], finish="tool_calls"))
    calls = [("a", {"town": "Ulm"}), ("b", {"town": "Bonn"})]
    assert blocks(message) == [("text", "I look."), *calls]
    assert message.stop_reason == "tool_use"
    given = [dialects.call("a", "weather", ULM), dialects.call("b", "weather", BONN)]
    message = whole(dialects.answer(content=None, tool_calls=given, finish="tool_calls"))
    assert blocks(message) == calls
    assert message.stop_reason == "tool_use"


def test_the_first_call_streams_while_it_is_made() -> None:
    events = dialects.table.translation("POST", "/v1/messages", {}, asked(stream=True)).events()  # type: ignore[union-attr]
    events.feed(chunk(**piece(0, "", name="weather", id="a")))
    for part in ('{"to', 'wn": "U', 'lm"}'):
        (told,) = dialects.events(events.feed(chunk(**piece(0, part))))
        assert told["delta"] == {"type": "input_json_delta", "partial_json": part}


@pytest.mark.parametrize("last", [{"stop_reason": "END"}, {"matched_stop": "END"}])
def test_the_stop_sequence_that_was_met_is_told_where_the_server_tells_it(last: Any) -> None:
    answer = dialects.answer(content="hi")
    answer["choices"][0].update(last)
    for message in (
        whole(answer, stop_sequences=["END"]),
        streamed(stream_of({"content": "hi"}, **last), stop_sequences=["END"]),
    ):
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("length", "max_tokens"), ("content_filter", "refusal"), ("stop", "end_turn")],
)
def test_why_it_stopped(finish: str, reason: str) -> None:
    assert whole(dialects.answer(content="hi", finish=finish)).stop_reason == reason
    assert streamed(stream_of({"content": "hi"}, finish=finish)).stop_reason == reason


def test_a_call_that_was_cut_off_is_still_an_object() -> None:
    given = [dialects.call("a", "weather", '{"town": "U')]
    message = whole(dialects.answer(content=None, tool_calls=given, finish="length"))
    assert blocks(message) == [("a", {"raw_arguments": '{"town": "U'})]
    message = streamed(stream_of(piece(0, '{"town": "U', name="weather", id="a"), finish="length"))
    assert blocks(message) == [("a", {"town": "U"})] or blocks(message) == [("a", {})]
    assert message.stop_reason == "max_tokens"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (429, "rate_limit_error"),
        (503, "overloaded_error"),
        (502, "api_error"),
    ],
)
def test_a_stream_that_breaks_off_ends_in_an_error_of_this_dialect(status: int, kind: str) -> None:
    backend = dialects.Backend(
        stream_of({"content": "hi"})[:2], broken=(status, {"message": "it is gone"})
    )
    with (
        pytest.raises(anthropic.APIStatusError) as found,
        client(backend).messages.stream(**asked()) as stream,
    ):
        list(stream)
    assert found.value.body["error"] == {"type": kind, "message": "it is gone"}  # type: ignore[index]


def test_a_stream_of_nothing_is_an_error() -> None:
    with (
        pytest.raises(anthropic.APIStatusError),
        client(dialects.Backend([])).messages.stream(**asked()) as stream,
    ):
        list(stream)


def test_an_answer_that_is_none_is_the_backends_fault() -> None:
    for answer in ({}, {"choices": []}, {"choices": [{"message": "x"}]}):
        made = dialects.table.translation("POST", "/v1/messages", {}, asked())
        assert made is not None
        with pytest.raises(dialects.Refused) as refused:
            made.answer(answer)
        assert refused.value.status == 502
