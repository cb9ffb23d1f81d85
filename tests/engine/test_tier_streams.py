"""Streams by way of the API tier: what is an error in them, and what is told of one that is cut."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.backends.servers import Scripted, scripted
from tests.engine.test_api_tier import tier_processes
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends: {{ t: {{ url: {t}, engine: tgi }} }}
models: {{ t: [t] }}
api: {{}}
"""
ASKED = {"model": "t", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
STREAMED = {**ASKED, "stream": True}

Running = tuple[Gateway, Scripted]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Running]:
    with scripted(name="t") as t, gateway(engine, CONFIG.format(t=t.url)) as it:
        yield it, t


@pytest.fixture
def tier(running: Running) -> Running:
    it, t = running
    t.reset()
    it.forget_failures()
    return it, t


def chunks(*told: object) -> str:
    """A stream in which each chunk tells this of an error."""
    events = [
        {"error": each, "choices": [{"index": 0, "delta": {"content": str(number)}}]}
        for number, each in enumerate(told)
    ]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return "".join(f"data: {json.dumps(each)}\n\n" for each in (*events, last)) + "data: [DONE]\n\n"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
def test_an_error_that_is_null_or_empty_is_none(tier: Running, path: str) -> None:
    it, t = tier
    t.behave(
        path_prefix="/v1/chat",
        body=chunks(None, "", {}, [], False),
        headers={"content-type": "text/event-stream"},
    )
    body = {**STREAMED, "input": "hi"} if path == "/v1/responses" else STREAMED
    said = it.post(path, body, timeout=60)
    assert "event: error" not in said.text
    assert "response.failed" not in said.text
    assert all(f'"{number}"' in said.text for number in range(5))
    id_ = said.headers["x-infergate-request-id"]
    lines = until(lambda: [each for each in it.log() if id_ in (each["id"], each.get("parent"))])
    assert {each["error"] for each in lines} == {""}


@pytest.mark.parametrize(
    ("path", "word"),
    [("/v1/messages", "event: error"), ("/api/chat", '{"error":'), ("/v1/responses", "error")],
)
def test_a_tier_that_is_killed_in_the_midst_of_a_stream_cuts_it_and_the_log_says_so(
    tier: Running, path: str, word: str
) -> None:
    it, t = tier
    t.behave(path_prefix="/v1/chat", hang="mid_stream")
    body = {**STREAMED, "input": "hi"} if path == "/v1/responses" else STREAMED
    came = b""
    with httpx.stream("POST", it.url + path, json=body, headers=it.headers(), timeout=60) as answer:
        try:
            for piece in answer.iter_raw():
                came += piece
                if b"t1" in came and b"broke off" not in came:
                    for pid in tier_processes(it):
                        os.kill(pid, signal.SIGKILL)
        except httpx.RemoteProtocolError:
            pass
        id_ = answer.headers["x-infergate-request-id"]
    end = came.decode().rstrip().rpartition("\n\n")[2]
    assert word in end
    assert "broke off" in end
    (line,) = until(lambda: [each for each in it.log() if each["id"] == id_])
    assert (line["status"], line["tier"], line["error"]) == (200, "dialect", "stream_truncated")
