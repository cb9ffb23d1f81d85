"""`system` and `messages` of Anthropic's → OpenAI's messages."""

from __future__ import annotations

from typing import Any

from infergate.api.dialects import given
from infergate.api.dialects.anthropic import content
from infergate.api.dialects.anthropic.version import Version
from infergate.api.dialects.translation import Body
from infergate.api.dialects.wire import compact
from infergate.api.refusal import Refused


def messages(body: Body, version: Version) -> list[Body]:
    """All of them. System messages from between the others go to the beginning: most chat
    templates take one there only."""
    system = content.parts(body.get("system"), "system")
    turns: list[Body] = []
    for number, each in enumerate(given.sequence(body.get("messages"), "messages")):
        where = f"messages.{number}"
        message = given.mapping(each, where)
        version.check_message(message, where)
        match message.get("role"):
            case "user":
                _user(turns, message, where)
            case "assistant":
                _assistant(turns, message, where)
            case "system":
                system += content.parts(message.get("content"), f"{where}.content")
            case _:
                raise Refused(
                    f"'{where}.role' must be user, assistant or system.", param=f"{where}.role"
                )
    if not turns:
        raise Refused("'messages' must have at least one message.", param="messages")
    if any(each["type"] != "text" for each in system):
        raise Refused("A system prompt is text here.", param="system")
    head = content.joined(system, "\n\n")
    for turn in turns:
        if turn["role"] != "tool" and isinstance(turn["content"], list):
            turn["content"] = content.content(turn["content"]) or _nothing(turn)
    return [*([{"role": "system", "content": head}] if head else []), *turns]


def _nothing(turn: Body) -> str | None:
    return None if turn.get("tool_calls") else ""


def _user(turns: list[Body], message: Body, where: str) -> None:
    """The results of tools stand right behind the calls, as servers of OpenAI's API insist; what
    is more than text in them, and what else the user says, comes behind them all."""
    said: list[Body] = []
    results = 0
    for block, place in _blocks(message, where):
        if block.get("type") == "tool_result":
            results += 1
            result, more = _result(block, place)
            turns.append(result)
            said += more
        else:
            said += content.part(block, place)
    if said and turns and turns[-1]["role"] == "user":
        turns[-1]["content"] += said
    elif said or not results:
        turns.append({"role": "user", "content": said})


def _blocks(message: Body, where: str) -> list[tuple[Body, str]]:
    told: Any = message.get("content")
    if isinstance(told, str):
        return [({"type": "text", "text": told}, f"{where}.content")]
    listed = given.sequence(told, f"{where}.content")
    places = ((each, f"{where}.content.{place}") for place, each in enumerate(listed))
    return [(given.mapping(each, place), place) for each, place in places]


def _result(block: Body, where: str) -> tuple[Body, list[Body]]:
    found = content.parts(block.get("content"), f"{where}.content")
    text = content.joined(found, "\n")
    if given.flag(block.get("is_error"), f"{where}.is_error"):
        text = f"Error: {text}"
    call = given.text(block.get("tool_use_id"), f"{where}.tool_use_id")
    result = {"role": "tool", "tool_call_id": call, "content": text}
    return result, [each for each in found if each["type"] != "text"]


def _assistant(turns: list[Body], message: Body, where: str) -> None:
    said: list[Body] = []
    thoughts: list[str] = []
    calls: list[Body] = []
    for block, place in _blocks(message, where):
        match block.get("type"):
            case "thinking":
                thoughts.append(given.text(block.get("thinking"), f"{place}.thinking"))
            case "redacted_thinking":
                pass  # nobody but Anthropic can read it
            case "tool_use":
                calls.append(_call(block, place))
            case _:
                said += content.part(block, place)
    if turns and turns[-1]["role"] == "assistant":
        turn = turns[-1]
        turn["content"] += said
    else:
        turn = {"role": "assistant", "content": said}
        turns.append(turn)
    if any(thoughts):
        turn["reasoning_content"] = turn.get("reasoning_content", "") + "".join(thoughts)
    if calls:
        turn.setdefault("tool_calls", []).extend(calls)


def _call(block: Body, where: str) -> Body:
    name = given.text(block.get("name"), f"{where}.name")
    arguments = compact(given.optional_mapping(block.get("input"), f"{where}.input"))
    call = given.text(block.get("id"), f"{where}.id")
    return {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}
