"""A chat completion → a response."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from infergate.api.dialects import chat
from infergate.api.dialects.blocks import Block, Blocks
from infergate.api.dialects.responses.kept import KeptAs
from infergate.api.dialects.translation import Body

_ECHOED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "user": None,
}
"""What a response says of its request, with what it says where that is silent."""


def head(answer: Body, body: Body, kept: KeptAs | None) -> Body:
    """A response before it has anything to say. body: the client's request. kept: None where it
    cannot be asked for again."""
    said = {name: body[name] for name in _ECHOED if body.get(name) is not None}
    return {
        "id": "resp_" + identity(answer, kept),
        "object": "response",
        "created_at": _created_at(answer) if kept is None else kept.created_at,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": chat.word(answer.get("model")) or body["model"],
        "output": [],
        **_ECHOED,
        **said,
        "store": kept is not None,
        "background": kept is not None and kept.in_background,
        "service_tier": "default",
        "truncation": "disabled",
        "usage": None,
    }


def identity(answer: Body, kept: KeptAs | None) -> str:
    """What all ids of an answer end in."""
    if kept is not None:
        return kept.identity
    return chat.word(answer.get("id")).removeprefix("chatcmpl-") or "0"


def _created_at(answer: Body) -> int:
    return chat.count(answer.get("created")) or int(time.time())


def response(answer: Body, body: Body, kept: KeptAs | None) -> Body:
    """The whole response. Raises Refused where the answer is none."""
    said = chat.read_answer(answer)
    blocks = Blocks()
    steps = [*blocks.feed(said), *blocks.end()]
    found = [each.block for each in steps if each.what == "open"]
    output = [item(each, identity(answer, kept), "completed") for each in found]
    return ended(head(answer, body, kept), output, said.finish, chat.usage(answer))


def ended(head: Body, output: list[Body], finish: str | None, used: chat.ChatUsage | None) -> Body:
    """A response that is complete, or as complete as it gets."""
    why = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish or "")
    return {
        **head,
        "status": "incomplete" if why else "completed",
        "incomplete_details": {"reason": why} if why else None,
        "output": output,
        "usage": usage(used),
    }


def failed(head: Body, status: int, error: Mapping[str, Any]) -> Body:
    """A response that came to nothing, or broke off. status, error: as a backend or the gateway
    told it."""
    message = error.get("message")
    told = {
        "code": "rate_limit_exceeded" if status == 429 else "server_error",
        "message": message if isinstance(message, str) and message else "The backend failed.",
    }
    return {**head, "status": "failed", "error": told}


def usage(used: chat.ChatUsage | None) -> Body | None:
    """Tokens; None where the server does not say."""
    if used is None:
        return None
    return {
        "input_tokens": used.prompt,
        "input_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": used.created},
        "output_tokens": used.completion,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.prompt + used.completion,
    }


def item(block: Block, identity: str, status: str) -> Body:
    """An item of the output, with what was said of it so far."""
    id = item_id(block, identity)
    match block.kind:
        case "tool":
            return {
                "id": id,
                "type": "function_call",
                "call_id": block.id or f"call_{id}",
                "name": block.name,
                "arguments": block.text,
                "status": status,
            }
        case "thinking":
            content = [part(block)] if block.said else []
            return {"id": id, "type": "reasoning", "summary": [], "content": content}
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [part(block)] if block.said else [],
    }


def item_id(block: Block, identity: str) -> str:
    """Its own, which is not a call's."""
    kind = {"tool": "fc", "thinking": "rs"}.get(block.kind, "msg")
    return f"{kind}_{identity}_{block.number}"


def part(block: Block) -> Body:
    """The one part of its content."""
    match block.kind:
        case "thinking":
            return {"type": "reasoning_text", "text": block.text}
        case "refusal":
            return {"type": "refusal", "refusal": block.text}
    return {"type": "output_text", "text": block.text, "annotations": [], "logprobs": []}
