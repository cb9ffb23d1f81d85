"""Guardrails: what they refuse in requests, whichever way these come."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

from tests.gateway import until
from tests.guardrails import (
    BAD,
    CHAT,
    TEXT,
    Running,
    asked,
    is_refused,
    only,
    posted,
    said,
    streamed,
    whole,
)
from tests.wire import raw


def test_a_request_without_such_words_is_answered(guarded: Running) -> None:
    it, a, _ = guarded
    answer = asked(it, "Fly, blue bird of the project!")
    assert answer.json()["choices"][0]["message"]["content"].startswith("a")
    assert [each["path"] for each in a.requests()] == [CHAT]
    assert streamed(it)[0].startswith("a")


@pytest.mark.parametrize(
    "text",
    [
        BAD,
        "project\n  BLUEBIRD!",
        "project-bluebird",
        "ｐｒｏｊｅｃｔ ｂｌｕｅｂｉｒｄ",  # noqa: RUF001
        "pro\u200bject blue\u00adbird",
        "project blu\u0301ebi\u0332rd",
        "p\u2060roject\u3000bluebird",
        "𝐩𝐫𝐨𝐣𝐞𝐜𝐭 𝓫𝓵𝓾𝓮𝓫𝓲𝓻𝓭",  # noqa: RUF001
        "am Ufer von ZÜRICHS See",
        "die zu\u0308richer",
        "你project bluebird好",
        "the project bluebird society of project bluebird",
    ],
)
def test_a_word_is_found_however_it_is_written(guarded: Running, text: str) -> None:
    it, a, _ = guarded
    assert is_refused(asked(it, text))
    assert a.requests() == []


@pytest.mark.parametrize(
    "text", ["the project bluebirds", "the Project Bluebird Society", "myproject bluebird"]
)
def test_other_words_and_allowed_ones_pass(guarded: Running, text: str) -> None:
    assert asked(guarded[0], text).status_code == 200


def bodies() -> dict[str, dict[str, Any]]:
    """Every place where text for a model may stand."""
    user = {"role": "user", "content": "hi"}
    arguments = json.dumps({"q": BAD})
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    hidden = {**call, "function": {"name": "f", "arguments": '{"q":"\\u0070roject bluebird"}'}}
    tool = {"type": "function", "function": {"name": "f", "description": BAD, "parameters": {}}}
    keyed = {"name": "f", "parameters": {"properties": {"project_bluebird": {"type": "string"}}}}
    split = [{"type": "text", "text": "project blue"}, {"type": "text", "text": "bird"}]
    return {
        "system": {"messages": [{"role": "system", "content": BAD}, user]},
        "earlier": {"messages": [{"role": "user", "content": BAD}, user]},
        "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": BAD}]}]},
        "split": {"messages": [{"role": "user", "content": split}]},
        "tool result": {"messages": [user, {"role": "tool", "tool_call_id": "1", "content": BAD}]},
        "arguments": {"messages": [user, {"role": "assistant", "tool_calls": [call]}]},
        "escaped": {"messages": [user, {"role": "assistant", "tool_calls": [hidden]}]},
        "reasoning": {"messages": [user, {"role": "assistant", "reasoning_content": BAD}]},
        "name": {"messages": [{**user, "name": BAD}]},
        "tool": {"messages": [user], "tools": [tool]},
        "key": {"messages": [user], "tools": [{"type": "function", "function": keyed}]},
        "unknown": {"messages": [user], "extra_text": {"a": [BAD]}},
    }


@pytest.mark.parametrize("place", bodies())
def test_it_is_found_wherever_it_stands(guarded: Running, place: str) -> None:
    it, a, _ = guarded
    for more in ({}, {"stream": True}, {"pad": "x" * 30_000}):
        assert is_refused(it.post(CHAT, {"model": "m", **bodies()[place], **more}, timeout=60))
    assert a.requests() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (TEXT, {"prompt": ["hi", BAD]}),
        (TEXT, {"prompt": "hi", "suffix": BAD}),
        ("/v1/embeddings", {"input": ["hi", BAD]}),
        ("/v1/rerank", {"query": "q", "documents": ["hi", BAD]}),
        ("/rerank", {"query": BAD, "documents": ["hi"]}),
        ("/v1/score", {"text_1": "hi", "text_2": BAD}),
        ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": BAD}]}),
        ("/v1/messages", {"max_tokens": 9, "system": BAD, "messages": []}),
        ("/v1/responses", {"input": BAD}),
        ("/api/chat", {"messages": [{"role": "user", "content": BAD}]}),
        ("/api/generate", {"prompt": BAD}),
        ("/api/embed", {"input": BAD}),
    ],
)
@pytest.mark.parametrize("model", ["m", "boxed"])
def test_every_dialect_comes_by_it(
    guarded: Running, path: str, body: dict[str, Any], model: str
) -> None:
    it, a, _ = guarded
    for more in ({}, {"stream": True}):
        answer = it.post(path, {"model": model, **body, **more}, timeout=60)
        assert 400 <= answer.status_code < 500, answer.text
        assert "error" in answer.json()
    assert posted(a) == []


@pytest.mark.parametrize(
    "path",
    ["/tokenize", "/detokenize", "/pooling", "/classify", "/v1/moderations", "/v1/audio/speech"],
)
def test_where_nobody_can_look_it_is_refused(guarded: Running, path: str) -> None:
    it, a, _ = guarded
    answer = it.post(path, {"model": "m", "input": "x", "prompt": "x", "tokens": [1]})
    assert answer.status_code in (400, 404), answer.text
    assert posted(a) == []


def test_uploads_and_websockets_are_refused(guarded: Running) -> None:
    it, a, _ = guarded
    form = {"files": {"file": ("a.wav", b"RIFF")}, "data": {"model": "m"}, "timeout": 30}
    upload = httpx.post(f"{it.url}/v1/audio/transcriptions", headers=it.headers(), **form)  # type: ignore[arg-type]
    assert is_refused(upload, "not_guarded")
    for path in ("/v1/realtime?model=m", "/v1/responses"):
        head = (
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Authorization: Bearer {it.key}\r\n\r\n"
        )
        assert raw(it.port, head.encode()).split(b" ")[1] in (b"400", b"426")
    assert posted(a) == []


@pytest.mark.parametrize(
    "body",
    [
        said([{"type": "image_url", "image_url": {"url": "data:,"}}]),
        said([{"image_url": {"url": "http://x/"}}]),
        said([{"type": "input_audio", "input_audio": {}}]),
        said(["project blue", "bird"]),
        {**said("hi"), "chat_template": "{{ 'project ' ~ 'bluebird' }}"},
        {"prompt": [1, 2, 3]},
        {"prompt": ["hi", [1]]},
        {"messages": [], "prompt_embeds": "AAAA"},
    ],
)
def test_what_is_no_text_is_refused(guarded: Running, body: dict[str, Any]) -> None:
    it, a, _ = guarded
    path = TEXT if "prompt" in body else CHAT
    assert is_refused(it.post(path, {"model": "m", **body}), "content_not_seen")
    assert a.requests() == []


def test_one_may_let_pass_what_is_no_text(guarded: Running) -> None:
    it, a, _ = guarded
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert asked(it, [image], "trusting").status_code == 200
    assert json.loads(a.requests()[0]["body"])["messages"][0]["content"] == [image]


def test_bodies_that_are_read_in_two_ways(guarded: Running) -> None:
    """The backend gets what was looked through, and no other model than was decided on."""
    it, a, _ = guarded
    one = b'"messages":[{"role":"user","content":"%s"}]'
    twice = b'{"model":"m",' + one + b"," + one + b"}"
    assert is_refused(it.post(CHAT, twice % (b"hi", BAD.encode())))
    assert it.post(CHAT, twice % (BAD.encode(), b"hi")).status_code == 200
    assert BAD not in a.requests()[0]["body"]
    a.reset()
    for models in (b'"model":"plain","model":"m"', b'"model":"m","model":"plain"'):
        body = b'{%s,"messages":[{"role":"user","content":"%s"}]}' % (models, BAD.encode())
        answer = it.post(CHAT, body)
        # Of two names the last is meant, if the body is taken at all: `plain` has no guardrails.
        assert not answer.is_success or models.endswith(b'"plain"')
    a.reset()
    plain = json.dumps({"model": "m", "messages": [{"role": "user", "content": BAD}]}).encode()
    assert is_refused(it.post(CHAT, b"\xef\xbb\xbf" + plain))
    packed = it.post(CHAT, gzip.compress(plain), headers={"Content-Encoding": "gzip"}, timeout=60)
    assert is_refused(packed)
    escaped = plain.replace(b"Bluebird", b"\\u0042luebird")
    assert is_refused(it.post(CHAT, escaped))
    assert a.requests() == []


@pytest.mark.parametrize("header", ["x-infergate-judge", "x-infergate-guards", "x-infergate-token"])
def test_a_client_cannot_say_that_it_has_passed(guarded: Running, header: str) -> None:
    it, a, _ = guarded
    body = {"model": "m", "messages": [{"role": "user", "content": BAD}]}
    assert is_refused(it.post(CHAT, body, headers={header: "1"}))
    assert a.requests() == []


@pytest.mark.parametrize("model", ["falls", "tried"])
def test_a_model_that_may_answer_instead_brings_its_guardrails(
    guarded: Running, model: str
) -> None:
    it, a, _ = guarded
    assert is_refused(asked(it, BAD, model))
    assert a.requests() == []


def test_a_key_has_guardrails_with_every_model(guarded: Running) -> None:
    it, a, _ = guarded
    key = it.new_key("guarded", "--guardrails", "before")
    until(lambda: asked(it, "hi", "plain", key=key).status_code == 200)
    a.reset()
    for more in ({}, {"stream": True}, {"temperature": 0}, {"pad": "x" * 30_000}):
        assert is_refused(asked(it, "The crimson tide", "plain", key=key, **more))
    assert is_refused(
        it.post("/v1/audio/speech", {"model": "plain", "input": "x"}, key=key), "not_guarded"
    )
    assert a.requests() == []
    assert asked(it, "The crimson tide", "plain").status_code == 200
    gone = it.new_key("gone", "--guardrails", "nobody")
    lost = until(lambda: (r := asked(it, "hi", "plain", key=gone)).status_code != 401 and r)
    assert (lost.status_code, lost.json()["error"]["code"]) == (503, "guardrail_unavailable")


def test_what_was_kept_for_others_is_not_given_to_it(guarded: Running) -> None:
    """Nor is what passed kept before it was looked through."""
    it, a, _ = guarded
    key = it.new_key("cached", "--guardrails", "words")
    body = {"model": "plain", "temperature": 0, "messages": [{"role": "user", "content": "kept"}]}
    until(lambda: it.post(CHAT, body, key=key, timeout=60).status_code == 200)
    only(a, raw=whole({"choices": [{"message": {"content": BAD}}]}))
    for _ in range(2):
        answer = it.post(CHAT, {**body, "user": "x"}, key=key, timeout=60)
        assert answer.json()["choices"][0]["finish_reason"] == "content_filter"
        assert "x-infergate-cache" not in answer.headers


def test_lines_of_a_batch_come_by_it(guarded: Running) -> None:
    it, a, _ = guarded
    line = {
        "custom_id": "1",
        "method": "POST",
        "url": CHAT,
        "body": {"model": "m", "messages": [{"role": "user", "content": BAD}]},
    }
    files = {"file": ("in.jsonl", json.dumps(line).encode())}
    made = httpx.post(
        f"{it.url}/v1/files",
        headers=it.headers(),
        files=files,
        data={"purpose": "batch"},
        timeout=60,
    )
    body = {"input_file_id": made.json()["id"], "endpoint": CHAT, "completion_window": "24h"}
    batch = it.post("/v1/batches", body, timeout=60).json()
    found = until(
        lambda: (b := it.get(f"/v1/batches/{batch['id']}").json())["status"] == "completed" and b
    )
    assert found["request_counts"]["failed"] == 1
    told = it.get(f"/v1/files/{found['error_file_id']}/content").text
    assert "content_filter" in told
    assert a.requests() == []


def test_others_are_not_handed_over(guarded: Running) -> None:
    it, _, _ = guarded
    asked(it, BAD, "plain")
    assert "tier" not in it.log()[-1]
