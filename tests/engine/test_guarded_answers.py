"""Guardrails: answers and streams have nothing in them that is not to come out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.guardrails import (
    BAD,
    CHAT,
    TEXT,
    Running,
    asked,
    called,
    event_stream,
    only,
    pieces,
    said,
    streamed,
    whole,
)


@pytest.mark.parametrize(
    "message",
    [
        {"content": f"It is {BAD}."},
        {"content": [{"type": "text", "text": BAD}]},
        {"content": "", "reasoning_content": BAD},
        called(name="f", arguments=json.dumps({"q": BAD})),
        called(name="f", arguments='{"q":"project \\u0062luebird"}'),
    ],
)
def test_an_answer_with_such_a_word_is_kept_back(guarded: Running, message: dict[str, Any]) -> None:
    it, a, _ = guarded
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    only(a, raw=whole({"id": "x", "choices": [choice], "usage": usage}))
    answer = asked(it, "hi")
    told = answer.json()
    assert (answer.status_code, told["usage"]) == (200, usage)
    assert told["choices"][0]["finish_reason"] == "content_filter"
    assert "luebird" not in answer.text
    assert "x-infergate-blocked" not in answer.headers
    line = next(each for each in it.log()[::-1] if each.get("tier") == "guard")
    assert line["blocked"] == "words.deny.answers"
    body = {"model": "m", "max_tokens": 9, **said("hi")}
    message_ = it.post("/v1/messages", body, timeout=60)
    assert message_.status_code == 200
    assert "luebird" not in message_.text


def test_an_answer_has_nothing_that_was_not_looked_at(guarded: Running) -> None:
    it, a, _ = guarded
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "fine", "audio": {"data": "AAAA"}},
        "logprobs": {"content": [{"token": "blue"}, {"token": "bird"}]},
        "token_ids": [1, 2],
        "finish_reason": "stop",
    }
    only(a, raw=whole({"choices": [choice], "prompt_token_ids": [1]}))
    body = {"model": "m", "messages": [], "logprobs": True, "return_token_ids": True}
    told = it.post(CHAT, body).json()
    assert set(told) == {"choices"}
    assert set(told["choices"][0]) == {"index", "message", "logprobs", "finish_reason"}
    assert told["choices"][0]["message"] == {"role": "assistant", "content": "fine"}
    assert told["choices"][0]["logprobs"] is None
    assert not {"logprobs", "return_token_ids"} & set(json.loads(a.requests()[0]["body"]))


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_word_that_is_cut_across_chunks_never_comes_out(guarded: Running, cut: int) -> None:
    it, a, _ = guarded
    text = f"It was {'long ago ' * 9}that Project Bluebird began, and more was said of it."
    at = text.index("Project") + cut
    for parts in ((text[:at], text[at:]), tuple(text)):
        only(a, raw=pieces(*parts))
        came, finishes, all_ = streamed(it)
        assert finishes == ["content_filter"]
        assert text.startswith(came)
        assert "bluebird" not in came.lower()
        assert "infergate-blocked" not in all_
        assert all_.endswith("data: [DONE]\n\n")
    line = next(each for each in it.log()[::-1] if each.get("tier") == "guard")
    assert (line["blocked"], line["status"]) == ("words.deny.answers", 200)


@pytest.mark.parametrize("between", ["\u200b" * 500, "\u00ad" * 40, "\u0301" * 3])
def test_a_word_with_much_that_nobody_sees_in_it(guarded: Running, between: str) -> None:
    it, a, _ = guarded
    word = between.join("project bluebird")
    only(
        a,
        raw=pieces("see " * 30, *(word[n : n + 7] for n in range(0, len(word), 7)), " end"),
    )
    came, finishes, _ = streamed(it)
    assert finishes == ["content_filter"]
    assert "bluebird" not in came.replace(between, "")


def test_a_word_between_which_another_text_goes_on(guarded: Running) -> None:
    """A client puts the pieces of each together."""
    it, a, _ = guarded
    deltas = [{"content": "project blue"}, {"reasoning_content": "hm"}, {"content": "bird"}]
    choices = [{"index": 0, "delta": each, "finish_reason": None} for each in deltas]
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    only(a, raw=event_stream(*({"choices": [c]} for c in (*choices, end))))
    came, finishes, _ = streamed(it)
    assert finishes == ["content_filter"]
    assert "bird" not in came


def test_arguments_and_names_of_tools_in_a_stream(guarded: Running) -> None:
    it, a, _ = guarded

    begin = called(name="find", arguments="")
    good = [begin, *(called(arguments=each) for each in '{"q": "a bird"}')]
    bad = [begin, *(called(arguments=each) for each in '{"q":"\\u0070roject bluebird"}')]
    named = [called(name="project_"), called(name="bluebird")]
    for deltas, finish in (
        (good, "tool_calls"),
        (bad, "content_filter"),
        (named, "content_filter"),
    ):
        choices = [{"index": 0, "delta": each, "finish_reason": None} for each in deltas]
        end = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
        only(a, raw=event_stream(*({"choices": [c]} for c in (*choices, end))))
        _, finishes, text = streamed(it)
        assert finishes == [finish]
        lines = [json.loads(each[6:]) for each in text.split("\n") if each.startswith("data: {")]
        calls = [c for each in lines for c in each["choices"][0]["delta"].get("tool_calls", [])]
        arguments = "".join(each.get("function", {}).get("arguments", "") for each in calls)
        if finish == "tool_calls":
            assert arguments == '{"q": "a bird"}'
            assert calls[0]["function"]["name"] == "find"
        else:
            assert "bluebird" not in text


def test_streams_that_are_good_come_whole(guarded: Running) -> None:
    it, a, _ = guarded
    text = "A bird of many words: " + "blue " * 200 + "end"
    only(a, raw=pieces(*(text[n : n + 3] for n in range(0, len(text), 3))))
    assert streamed(it)[:2] == (text, ["stop"])
    choice = {"index": 0, "text": text, "finish_reason": "stop"}
    only(a, raw=event_stream({"choices": [choice]}))
    answer = it.post(TEXT, {"model": "m", "prompt": "x", "stream": True})
    lines = [json.loads(each[6:]) for each in answer.text.split("\n") if each.startswith("data: {")]
    assert "".join(each["choices"][0]["text"] for each in lines) == text


def test_a_stream_that_breaks_off_ends_in_an_error(guarded: Running) -> None:
    it, a, _ = guarded
    cut = pieces("so far", finish=None).removesuffix("data: [DONE]\n\n")
    only(a, raw=cut)
    assert '"error"' in asked(it, "hi", stream=True).text


def test_an_answer_ends_at_its_bound(guarded: Running) -> None:
    it, a, _ = guarded
    only(a, raw=pieces("12345", "67890", "more"))
    assert streamed(it, "short")[:2] == ("1234567890", ["length"])
    choice = {"index": 0, "message": {"content": "123456789012"}, "finish_reason": "stop"}
    only(a, raw=whole({"choices": [choice]}))
    found = asked(it, "hi", "short").json()["choices"][0]
    assert (found["message"]["content"], found["finish_reason"]) == ("1234567890", "length")
