"""Messages of /api/chat → OpenAI's."""

from __future__ import annotations

from typing import Any

from infergate.api.dialects import given
from infergate.api.dialects.ollama.settings import image
from infergate.api.dialects.translation import Body
from infergate.api.dialects.wire import compact
from infergate.api.refusal import Refused


def messages(value: Any) -> list[Body]:
    """All of them. Ollama's results of tools say the tool's name where OpenAI's say the call's id:
    each is that of the first call by that name which has none yet."""
    found: list[Body] = []
    open_calls: list[tuple[str, str]] = []
    for number, each in enumerate(given.sequence(value, "messages")):
        where = f"messages.{number}"
        message = given.mapping(each, where)
        role = message.get("role")
        match role:
            case "assistant":
                found.append(_assistant(message, where, open_calls, number))
            case "tool":
                found.append(_result(message, where, open_calls))
            case "user" | "system":
                found.append({"role": role, "content": _said(message, where)})
            case _:
                raise Refused(
                    f"'{where}.role' must be user, assistant, system or tool.",
                    param=f"{where}.role",
                )
    return found


def said(text: str, images: Any, where: str) -> str | list[Body]:
    """A user's content."""
    shown = [
        image(each, f"{where}.{number}")
        for number, each in enumerate(given.optional_sequence(images, where))
    ]
    if not shown:
        return text
    return [*([{"type": "text", "text": text}] if text else []), *shown]


def _said(message: Body, where: str) -> str | list[Body]:
    text = given.optional_text(message.get("content"), f"{where}.content")
    return said(text, message.get("images"), f"{where}.images")


def _assistant(message: Body, where: str, open_calls: list[tuple[str, str]], number: int) -> Body:
    text = given.optional_text(message.get("content"), f"{where}.content")
    turn: Body = {"role": "assistant", "content": text}
    thoughts = given.optional_text(message.get("thinking"), f"{where}.thinking")
    if thoughts:
        turn["reasoning_content"] = thoughts
    calls = []
    for place, each in enumerate(
        given.optional_sequence(message.get("tool_calls"), f"{where}.tool_calls")
    ):
        at = f"{where}.tool_calls.{place}"
        call = given.mapping(each, at)
        id = given.optional_text(call.get("id"), f"{at}.id") or f"call_{number}_{place}"
        function = given.mapping(call.get("function"), f"{at}.function")
        name = given.text(function.get("name"), f"{at}.function.name")
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = compact(given.optional_mapping(arguments, f"{at}.function.arguments"))
        open_calls.append((id, name))
        made = {"name": name, "arguments": arguments}
        calls.append({"id": id, "type": "function", "function": made})
    if calls:
        turn |= {"tool_calls": calls, "content": text or None}
    return turn


def _result(message: Body, where: str, open_calls: list[tuple[str, str]]) -> Body:
    id = given.optional_text(message.get("tool_call_id"), f"{where}.tool_call_id")
    name = message.get("tool_name") or message.get("name")
    of = [each for each in open_calls if each[0] == id or (not id and name in (None, "", each[1]))]
    if not of:
        raise Refused(f"'{where}': no call of a tool stands before it.", param=where)
    open_calls.remove(of[0])
    text = given.optional_text(message.get("content"), f"{where}.content")
    return {"role": "tool", "tool_call_id": of[0][0], "content": text}


def tools(value: Any) -> list[Body]:
    """They have OpenAI's shape already."""
    found = []
    for number, each in enumerate(given.optional_sequence(value, "tools")):
        tool = given.mapping(each, f"tools.{number}")
        function = given.mapping(tool.get("function"), f"tools.{number}.function")
        given.text(function.get("name"), f"tools.{number}.function.name")
        found.append({"type": "function", "function": function})
    return found
