"""Content blocks of Anthropic's → parts of a message of OpenAI's."""

from __future__ import annotations

from typing import Any

from infergate.api.dialects import given
from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused


def parts(content: Any, where: str, *, depth: int = 0) -> list[Body]:
    """Of text, images, documents and search results. content: a string or an array of blocks."""
    if isinstance(content, str):
        return [_text(content)] if content else []
    found: list[Body] = []
    for number, each in enumerate(given.optional_sequence(content, where)):
        place = f"{where}.{number}"
        found.extend(part(given.mapping(each, place), place, depth=depth))
    return found


def part(block: Body, where: str, *, depth: int = 0) -> list[Body]:
    """Of one block: none where an empty text is."""
    kind = given.text(block.get("type"), f"{where}.type")
    match kind:
        case "text":
            text = given.text(block.get("text"), f"{where}.text")
            return [_text(text)] if text else []
        case "image":
            return [_image(given.mapping(block.get("source"), f"{where}.source"), where)]
        case "document" if depth == 0:
            return _document(block, where)
        case "search_result" if depth == 0:
            return _search_result(block, where)
        case "tool_reference":
            name = given.text(block.get("tool_name"), f"{where}.tool_name")
            return [_text(f"Tool: {name}")]
    raise Refused(
        f"'{where}': blocks of type '{kind}' cannot be had from this model's server.", param=where
    )


def joined(found: list[Body], between: str) -> str:
    """The text of parts."""
    return between.join(each["text"] for each in found if each["type"] == "text")


def content(found: list[Body]) -> str | list[Body]:
    """As a message has it: a single text as a string, which every server takes."""
    if len(found) == 1 and found[0]["type"] == "text":
        return str(found[0]["text"])
    return found


def _text(text: str) -> Body:
    return {"type": "text", "text": text}


def _image(source: Body, where: str) -> Body:
    kind = source.get("type")
    if kind == "url":
        url = given.text(source.get("url"), f"{where}.source.url")
    elif kind == "base64":
        media = given.text(source.get("media_type"), f"{where}.source.media_type")
        url = f"data:{media};base64,{given.text(source.get('data'), f'{where}.source.data')}"
    else:
        raise Refused(
            f"'{where}.source': an image comes as base64 or url here; files are not kept.",
            param=f"{where}.source",
        )
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: Body, where: str) -> list[Body]:
    source = given.mapping(block.get("source"), f"{where}.source")
    title = given.optional_text(block.get("title"), f"{where}.title")
    about = given.optional_text(block.get("context"), f"{where}.context")
    head = [_text(each) for each in (f"Document: {title}" if title else "", about) if each]
    data = f"{where}.source.data"
    match source.get("type"):
        case "text":
            return [*head, _text(given.text(source.get("data"), data))]
        case "content":
            inner = parts(source.get("content"), f"{where}.source.content", depth=1)
            return [*head, *inner]
        case "base64":
            media = given.text(source.get("media_type"), f"{where}.source.media_type")
            url = f"data:{media};base64,{given.text(source.get('data'), data)}"
            file = {"filename": title or "document.pdf", "file_data": url}
            return [*head, {"type": "file", "file": file}]
    raise Refused(
        f"'{where}.source': a document comes as text, content or base64 here; "
        "none is fetched or kept.",
        param=f"{where}.source",
    )


def _search_result(block: Body, where: str) -> list[Body]:
    title = given.text(block.get("title"), f"{where}.title")
    source = given.text(block.get("source"), f"{where}.source")
    found = parts(block.get("content"), f"{where}.content", depth=1)
    return [_text(f"Search result: {title} ({source})"), *found]
