"""A chat completion → Anthropic's message."""

from __future__ import annotations

from collections.abc import Sequence

from infergate.api.dialects import chat
from infergate.api.dialects.translation import Body


def message(answer: Body, model: str, stops: Sequence[str], *, thinking: bool) -> Body:
    """The whole message. stops: the request's. Raises Refused where the answer is none."""
    said = chat.read_answer(answer)
    reason, stop = stop_reason(said, bool(said.calls), stops)
    return {
        **head(answer, model),
        "content": _content(said, thinking=thinking),
        "stop_reason": reason,
        "stop_sequence": stop,
        "usage": usage(chat.usage(answer)),
    }


def head(answer: Body, model: str) -> Body:
    """What is known of a message when it begins."""
    return {
        "id": "msg_" + (chat.word(answer.get("id")).removeprefix("chatcmpl-") or "0"),
        "type": "message",
        "role": "assistant",
        "model": chat.word(answer.get("model")) or model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _content(said: chat.Said, *, thinking: bool) -> list[Body]:
    blocks: list[Body] = []
    if said.reasoning and thinking:
        blocks.append({"type": "thinking", "thinking": said.reasoning, "signature": ""})
    if said.text or said.refusal:
        blocks.append({"type": "text", "text": said.text + said.refusal})
    for call in said.calls:
        if call.name:
            named = {"id": tool_id(call.id, call.index), "name": call.name}
            blocks.append({"type": "tool_use", **named, "input": chat.called_with(call.arguments)})
    return blocks


def tool_id(given: str, number: int) -> str:
    """Of a call; some servers give none."""
    return given or f"toolu_{number}"


def stop_reason(
    said: chat.Said, called: bool, stops: Sequence[str]
) -> tuple[str | None, str | None]:
    """`stop_reason` and `stop_sequence`. called: whether there is a call of a tool."""
    if said.finish == "length":
        return "max_tokens", None
    if said.finish == "content_filter" or said.refusal:
        return "refusal", None
    if said.finish in ("tool_calls", "function_call") or called:
        return "tool_use", None
    if said.stop in stops:
        return "stop_sequence", said.stop
    return "end_turn", None


def usage(used: chat.ChatUsage | None) -> Body:
    """Tokens. Anthropic counts those that the server had in its cache apart."""
    of = used or chat.ChatUsage()
    told: Body = {
        "input_tokens": of.prompt - of.cached - of.created,
        "cache_creation_input_tokens": of.created,
        "cache_read_input_tokens": of.cached,
        "output_tokens": of.completion,
    }
    if of.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": of.reasoning}
    return told
