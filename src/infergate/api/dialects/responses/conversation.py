"""Items of /v1/responses → messages of /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infergate.api.dialects import given
from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused

Item = dict[str, Any]


def items(value: Any) -> list[Item]:
    """`input`: a text is a user's message."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    listed = given.sequence(value, "input")
    return [given.mapping(each, f"input.{number}") for number, each in enumerate(listed)]


def messages(instructions: str, before: Iterable[Item], own: Iterable[Item]) -> list[Body]:
    """All of them, `instructions` in front. What a system or developer says between others goes to
    the beginning too: most chat templates take it there only. before: of an earlier request."""
    told = _Told([instructions] if instructions else [])
    for item in before:
        told.add(item, "previous_response_id")
    for number, item in enumerate(own):
        told.add(item, f"input.{number}")
    told.over()
    head = "\n\n".join(told.system)
    if not told.turns:
        raise Refused("'input' must have at least one message.", param="input")
    return [*([{"role": "system", "content": head}] if head else []), *told.turns]


class _Told:
    """What was told so far. later: what is more than text in results of tools, which stands behind
    them all; thoughts: of the turn that comes next."""

    def __init__(self, system: list[str]) -> None:
        self.system, self.turns = system, list[Body]()
        self._later: list[Body] = []
        self._thoughts = ""

    def add(self, item: Item, where: str) -> None:
        kind = item.get("type", "message")
        if kind != "function_call_output":
            self.over()
        match kind:
            case "message":
                self._message(item, where)
            case "reasoning":
                self._thoughts += _thoughts(item, where)
            case "function_call":
                self._call(item, where)
            case "function_call_output":
                self._result(item, where)
            case "item_reference":
                raise Refused(
                    f"'{where}': this item is not kept here; send the item itself.", param=where
                )
            case _:
                raise Refused(
                    f"'{where}': items of type '{kind}' cannot be had from this model's server.",
                    param=where,
                )

    def over(self) -> None:
        """No more results of tools come."""
        if self._later:
            self.turns.append({"role": "user", "content": self._later})
            self._later = []

    def _message(self, item: Item, where: str) -> None:
        said = parts(item.get("content"), f"{where}.content")
        match item.get("role"):
            case "user":
                self.turns.append({"role": "user", "content": _content(said)})
            case "assistant":
                turn = self._assistant()
                turn["content"] = (turn["content"] or "") + _text(said, where)
            case "system" | "developer":
                self.system.append(_text(said, where))
            case _:
                raise Refused(
                    f"'{where}.role' must be user, assistant, system or developer.",
                    param=f"{where}.role",
                )

    def _assistant(self) -> Body:
        """The turn that goes on, or a new one."""
        if not self.turns or self.turns[-1]["role"] != "assistant":
            self.turns.append({"role": "assistant", "content": None})
        turn = self.turns[-1]
        if self._thoughts:
            turn["reasoning_content"] = turn.get("reasoning_content", "") + self._thoughts
            self._thoughts = ""
        return turn

    def _call(self, item: Item, where: str) -> None:
        function = {
            "name": given.text(item.get("name"), f"{where}.name"),
            "arguments": given.text(item.get("arguments"), f"{where}.arguments"),
        }
        id = given.text(item.get("call_id"), f"{where}.call_id")
        call = {"id": id, "type": "function", "function": function}
        self._assistant().setdefault("tool_calls", []).append(call)

    def _result(self, item: Item, where: str) -> None:
        said = parts(item.get("output"), f"{where}.output")
        id = given.text(item.get("call_id"), f"{where}.call_id")
        text = "\n".join(each["text"] for each in said if each["type"] == "text")
        self.turns.append({"role": "tool", "tool_call_id": id, "content": text})
        self._later += [each for each in said if each["type"] != "text"]


def parts(content: Any, where: str) -> list[Body]:
    """Parts of a message of chat completions."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    listed = given.optional_sequence(content, where)
    places = [(each, f"{where}.{number}") for number, each in enumerate(listed)]
    return [_part(given.mapping(each, place), place) for each, place in places]


def _part(part: Body, where: str) -> Body:
    kind = part.get("type")
    match kind:
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": given.text(part.get("text"), f"{where}.text")}
        case "refusal":
            return {"type": "text", "text": given.text(part.get("refusal"), f"{where}.refusal")}
        case "input_image" if part.get("image_url"):
            image = {"url": given.text(part["image_url"], f"{where}.image_url")}
            if part.get("detail") is not None:
                image["detail"] = given.text(part["detail"], f"{where}.detail")
            return {"type": "image_url", "image_url": image}
        case "input_file" if part.get("file_data"):
            name = given.optional_text(part.get("filename"), f"{where}.filename")
            data = given.text(part["file_data"], f"{where}.file_data")
            return {"type": "file", "file": {"filename": name or "file", "file_data": data}}
    raise Refused(
        f"'{where}': a part of type '{kind}' cannot be had here; images come by URL or as data, "
        "files as data.",
        param=where,
    )


def _content(said: list[Body]) -> str | list[Body]:
    return str(said[0]["text"]) if len(said) == 1 and said[0]["type"] == "text" else said


def _text(said: list[Body], where: str) -> str:
    if any(each["type"] != "text" for each in said):
        raise Refused(f"'{where}.content': only a user's message has more than text.", param=where)
    return "".join(each["text"] for each in said)


def _thoughts(item: Item, where: str) -> str:
    """What it thought or, where that is missing, the summary of it."""
    for name in ("content", "summary"):
        listed = given.optional_sequence(item.get(name), f"{where}.{name}")
        found = [given.mapping(each, f"{where}.{name}").get("text") for each in listed]
        if found:
            return "".join(given.text(each, f"{where}.{name}") for each in found)
    return ""
