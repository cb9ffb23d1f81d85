"""What is read of clients and backends before it is translated."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from infergate.api.caller import Caller
from infergate.api.dialects import table
from infergate.api.guard.guarded import Guards
from infergate.api.inner import Inner
from infergate.api.tier import Tier
from infergate.api.translate import translated

NOBODY = Path("/nonexistent/inner.sock")


def answered(body: bytes) -> tuple[int, dict[str, Any]]:
    """What is said to this body of /v1/messages, with nobody behind."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        scope = {"path": "/v1/messages", "method": "POST", "headers": []}
        await translated(Inner(NOBODY), Caller("", "", "", ""), scope, body, send)

    asyncio.run(ask())
    return sent[0]["status"], json.loads(sent[1]["body"])


BODY = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-32-be"])
def test_json_that_nginx_cannot_read_is_not_read_here_either(encoding: str) -> None:
    status, told = answered(BODY.decode().encode(encoding))
    assert (status, told["error"]["type"]) == (400, "invalid_request_error")


def test_a_byte_order_mark_is_no_part_of_a_body() -> None:
    assert answered(b"\xef\xbb\xbf" + BODY)[0] == 502  # it was asked for


def test_a_body_of_any_depth_is_asked_for_or_refused() -> None:
    for depth in range(900, 1000):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        used = b'{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":'
        body = BODY.replace(b"]}", b"," + used + deep + b"}]}]}")
        assert answered(body)[0] in (400, 502), depth


def test_a_mistake_of_ours_is_told_in_the_dialect_and_to_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(*_: object) -> None:
        raise LookupError("a mistake")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        came = [{"type": "http.request", "body": BODY, "more_body": False}]

        async def receive() -> Any:
            return came.pop() if came else await asyncio.Event().wait()

        scope = {"type": "http", "path": "/v1/messages", "method": "POST", "headers": []}
        await Tier(Inner(NOBODY), 1000, Guards(Inner(NOBODY), {}))(scope, receive, send)

    monkeypatch.setattr(table, "translation", wrong)
    with pytest.raises(LookupError):
        asyncio.run(ask())
    told = json.loads(sent[1]["body"])
    assert (sent[0]["status"], told["error"]["type"]) == (500, "api_error")
    assert "mistake" not in told["error"]["message"]
