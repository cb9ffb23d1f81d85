"""How the scripted backend calls tools: as its user says.

A line `call NAME {"an": "object"}` in the last text of the user is a call of that tool, where it is
offered; several lines are parallel calls. Once their results are there, they are the answer.
"""

from __future__ import annotations

import re

_CALL = re.compile(r"^call (\w+) (\{.*\})$", re.MULTILINE)


def message(asked: dict) -> tuple[dict, str] | None:
    """Of a chat: what the model says, and why it ends there; None where tools are no matter."""
    messages = asked.get("messages")
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        return None
    if messages and messages[-1].get("role") == "tool":
        results = [_text(each.get("content")) for each in messages if each.get("role") == "tool"]
        return {"role": "assistant", "content": "It says: " + ", ".join(results)}, "stop"
    tools = asked.get("tools")
    users = [each for each in messages if each.get("role") == "user"]
    if not isinstance(tools, list) or not users:
        return None
    functions = [each.get("function") for each in tools if isinstance(each, dict)]
    offered = {str(each.get("name")) for each in functions if isinstance(each, dict)}
    found = [each for each in _CALL.findall(_text(users[-1].get("content"))) if each[0] in offered]
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(found)
    ]
    if not calls:
        return None
    return {"role": "assistant", "content": "I look.", "tool_calls": calls}, "tool_calls"


def deltas(said: dict) -> list[dict]:
    """The same in pieces: each call's arguments in two."""
    found: list[dict] = [{"role": "assistant", "content": said["content"]}]
    for index, call in enumerate(said.get("tool_calls", [])):
        arguments = call["function"]["arguments"]
        middle = len(arguments) // 2
        begun = {**call["function"], "arguments": arguments[:middle]}
        found.append({"tool_calls": [{**call, "index": index, "function": begun}]})
        rest = {"index": index, "function": {"arguments": arguments[middle:]}}
        found.append({"tool_calls": [rest]})
    return found


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(str(each.get("text", "")) for each in content if isinstance(each, dict))
    return str(content)
