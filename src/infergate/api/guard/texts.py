"""Every text of a document, and what of a request cannot be looked through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infergate.api.guard.rules import Blocked, Rule, Side

_LONG_NUMBER = 10**6
"""From here on a number can be somebody's."""

_TEXT_PARTS = frozenset(
    ("text", "input_text", "output_text", "refusal", "thinking", "reasoning", "summary_text")
)
MEDIA = frozenset(
    (
        *("image", "image_url", "input_image", "images", "image_data", "audio", "input_audio"),
        *("audio_url", "video", "video_url", "file", "file_id", "file_data", "input_file"),
        *("prompt_embeds", "input_embeds", "prompt_token_ids", "input_ids", "multi_modal_data"),
        *("multimodal_data", "chat_template", "previous_response_id", "conversation"),
    )
)
"""Keys whose values are no text, or a text that is made elsewhere: a template can put a word
together that stands nowhere."""

_NUMBERS = frozenset(("stop_token_ids", "allowed_token_ids", "dimensions"))
"""Lists of numbers at the top of a request that no model reads as a prompt."""


def unseen(body: Mapping[str, Any]) -> str | None:
    """Where the request has something that is not looked through; None where all of it is text."""
    for key, value in body.items():
        if key not in _NUMBERS and isinstance(value, list) and _has_numbers(value):
            return key
    return next(_hidden(body, ""), None)


def _has_numbers(value: Any) -> bool:
    """A prompt of tokens, alone or among texts."""
    if isinstance(value, list):
        return any(map(_has_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _hidden(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for at, each in enumerate(value):
            yield from _hidden(each, f"{path}[{at}]")
    elif isinstance(value, dict):
        for key, each in value.items():
            where = f"{path}.{key}" if path else key
            if key in MEDIA and each not in (None, [], {}, ""):
                yield where
            elif key == "content" and isinstance(each, list):
                yield from _hidden_parts(each, where)
            # What a tool takes may be called as one likes: a schema is no image.
            if key not in ("tools", "functions", "response_format", "arguments"):
                yield from _hidden(each, where)


def _hidden_parts(parts: list[Any], path: str) -> Iterator[str]:
    for at, part in enumerate(parts):
        kind = part.get("type", "text") if isinstance(part, dict) else None
        if kind not in _TEXT_PARTS:
            yield f"{path}[{at}]"


def passed(value: Any, rule: Rule, side: Side, *, kept: frozenset[str] = frozenset()) -> Any:
    """The document as the guardrail lets it pass. kept: keys whose values are left as they are.
    Raises Blocked."""

    def look(text: str, is_whole: bool) -> None:
        rule.refuse(text, side)
        if is_whole and rule.found_in(text, side):  # no part has it: it was taken out there
            raise Blocked(rule.name, "pii", side)

    return _mapped(value, lambda text: rule.passed(text, side), look, kept)


def _mapped(
    value: Any,
    change: Callable[[str], str],
    look: Callable[[str, bool], None],
    kept: frozenset[str],
) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        changed = [_mapped(each, change, look, kept) for each in value]
        look("".join(joined(changed)), True)
        return changed
    if isinstance(value, dict):
        found = {}
        for key, each in value.items():
            look(key, False)
            found[key] = each if key in kept else _mapped(each, change, look, kept)
        return found
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _LONG_NUMBER:
        text = str(value)
        return value if (said := change(text)) == text else said
    return value


def joined(parts: list[Any]) -> Iterator[str]:
    """The texts of a list of parts, which a model reads as one."""
    for part in parts:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def all_texts(value: Any) -> Iterator[str]:
    """Every text of a document, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from all_texts(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from all_texts(each)
