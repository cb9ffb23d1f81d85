"""The demo's /v1/responses: a text answer, whole or as the events of OpenAI's Responses API."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infergate.demo.answers import MODEL, DemoReply, reply, text_of
from infergate.demo.wire import WireRefused, data_event, event_stream, flag, limit, read


async def respond(request: Request) -> Response:
    """POST /v1/responses with a text or a list of messages as `input`."""
    asked = await read(request)
    said, prompt = _said(asked.get("input"))
    answer = reply(said, prompt, limit(asked, "max_output_tokens"))
    response = _response(asked)
    if flag(asked, "stream"):
        return event_stream(_events(response, answer, request.app.state.word_delay_s))
    item_id = f"msg_{uuid.uuid4().hex}"
    return JSONResponse(_finished(response, answer, item_id))


def _said(given: Any) -> tuple[str, str]:
    """What the user said last, and all the text there is. Raises Refused."""
    if isinstance(given, str):
        return given, given
    if not isinstance(given, list) or not given or not all(isinstance(i, dict) for i in given):
        raise WireRefused(400, "input must be a text or a list of items.", param="input")
    texts = [text_of(item.get("content")) for item in given]
    users = [t for item, t in zip(given, texts, strict=True) if item.get("role") == "user"]
    return users[-1] if users else "", "\n".join(texts)


def _response(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "metadata": {},
        "model": MODEL,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
    }


def _finished(response: dict[str, Any], answer: DemoReply, item_id: str) -> dict[str, Any]:
    total = answer.prompt_tokens + answer.completion_tokens
    return {
        **response,
        "status": "incomplete" if answer.cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if answer.cut else None,
        "output": [_item(item_id, answer)],
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": total,
        },
    }


def _item(item_id: str, answer: DemoReply) -> dict[str, Any]:
    return {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": "incomplete" if answer.cut else "completed",
        "content": [_part(answer.text)],
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


async def _events(
    response: dict[str, Any], answer: DemoReply, delay_s: float
) -> AsyncIterator[str]:
    sequence_number = 0
    item_id = f"msg_{uuid.uuid4().hex}"
    in_item = {"item_id": item_id, "output_index": 0, "content_index": 0}

    def event(kind: str, **fields: Any) -> str:
        nonlocal sequence_number
        value = {"type": kind, "sequence_number": sequence_number, **fields}
        sequence_number += 1
        return data_event(value, kind)

    started = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress"}
    yield event("response.created", response=response)
    yield event("response.in_progress", response=response)
    yield event("response.output_item.added", output_index=0, item={**started, "content": []})
    yield event("response.content_part.added", **in_item, part=_part(""))
    for word in answer.words:
        await asyncio.sleep(delay_s)
        yield event("response.output_text.delta", **in_item, delta=word, logprobs=[])
    yield event("response.output_text.done", **in_item, text=answer.text, logprobs=[])
    yield event("response.content_part.done", **in_item, part=_part(answer.text))
    yield event("response.output_item.done", output_index=0, item=_item(item_id, answer))
    end = "response.incomplete" if answer.cut else "response.completed"
    yield event(end, response=_finished(response, answer, item_id))
