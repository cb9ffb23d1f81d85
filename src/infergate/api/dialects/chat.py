"""Answers of /v1/chat/completions and /v1/completions, read from backends that may send anything:
never an exception but Refused, for a whole answer that is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infergate.api.dialects.translation import Body
from infergate.api.refusal import Refused

PATH = "/v1/chat/completions"

BROKEN: Mapping[str, Any] = {
    "message": "The backend broke off its answer.",
    "type": "server_error",
    "param": None,
    "code": "backend_failed",
}


@dataclass(frozen=True)
class Call:
    """A call of a tool or, in a stream, a piece of one: `name` and `id` come with its first."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Said:
    """What a chunk or a whole answer says. stop: the stop sequence that was met, where the server
    tells (vLLM's stop_reason, SGLang's matched_stop)."""

    reasoning: str = ""
    text: str = ""
    refusal: str = ""
    calls: tuple[Call, ...] = ()
    finish: str | None = None
    stop: str | None = None


@dataclass(frozen=True)
class ChatUsage:
    """In tokens. cached, created: of the prompt's, those that were in the server's cache and those
    that it put there, as far as it says so. reasoning: of the completion's."""

    prompt: int = 0
    cached: int = 0
    created: int = 0
    completion: int = 0
    reasoning: int = 0


NO_OBJECT = "raw_arguments"
"""Under this name stand arguments that are no object, where a dialect knows only objects."""


def called_with(value: str) -> Body:
    """A call's arguments, as an object in any case."""
    found = arguments(value)
    return {NO_OBJECT: value} if found is None else found


def arguments(value: str) -> Body | None:
    """A call's arguments; None where they are no object of JSON, as of one that was cut off."""
    if not value.strip():
        return {}
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def error_of(answer: Body) -> Any:
    """What a chunk or a whole answer tells that went wrong, as it tells it; None where it does not:
    engines write an error that is null, or empty, into what is none (njs/usages.js)."""
    if told := answer.get("error"):
        return told
    return answer if "error" in (answer.get("object"), answer.get("type")) else None


def as_error(told: Any) -> Mapping[str, Any]:
    """The same in OpenAI's shape."""
    if isinstance(told, dict):
        return told
    return {**BROKEN, "message": told if isinstance(told, str) else json.dumps(told)[:500]}


def read_chunk(chunk: Body) -> Said | None:
    """What a chunk says; None where it has no choice, as the one with the usage."""
    choice = first_choice(chunk)
    return None if choice is None else _said(choice, choice.get("delta"))


def read_answer(answer: Body) -> Said:
    """What a whole answer says. Raises Refused where it is none."""
    choice = first_choice(answer)
    message = None if choice is None else choice.get("message")
    if choice is None or not (isinstance(message, dict) or isinstance(choice.get("text"), str)):
        raise Refused("The backend's answer is no chat completion.", status=502, code="bad_answer")
    return _said(choice, message)


def usage(answer: Body) -> ChatUsage | None:
    """Of an answer or a chunk; None where it does not say."""
    found = answer.get("usage")
    if not isinstance(found, dict):
        return None
    prompt, completion = count(found.get("prompt_tokens")), count(found.get("completion_tokens"))
    details = _in(found, "prompt_tokens_details")
    cached = min(count(details.get("cached_tokens")), prompt)
    created = min(count(details.get("created_cache_tokens")), prompt - cached)
    reasoning = count(_in(found, "completion_tokens_details").get("reasoning_tokens"))
    return ChatUsage(prompt, cached, created, completion, min(reasoning, completion))


def count(value: Any) -> int:
    """A number of tokens, or 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def word(value: Any) -> str:
    """A text, or ""."""
    return value if isinstance(value, str) else ""


def _in(outer: Body, name: str) -> Body:
    inner = outer.get(name)
    return inner if isinstance(inner, dict) else {}


def first_choice(answer: Body) -> Body | None:
    """None where it has none. Nobody who is translated for may ask for more."""
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return None
    found = (each for each in choices if isinstance(each, dict) and not each.get("index"))
    return next(found, None)


def _said(choice: Body, message: Any) -> Said:
    of = message if isinstance(message, dict) else {}
    stop = choice.get("stop_reason", choice.get("matched_stop"))
    given = of.get("tool_calls")
    calls = given if isinstance(given, list) else []
    return Said(
        # vLLM has `reasoning`, others have `reasoning_content`; some have both, with the same text.
        reasoning=word(of.get("reasoning_content")) or word(of.get("reasoning")),
        text=_text(of.get("content")) or word(choice.get("text")),  # of /v1/completions
        refusal=word(of.get("refusal")),
        calls=tuple(
            _call(each, place) for place, each in enumerate(calls) if isinstance(each, dict)
        ),
        finish=word(choice.get("finish_reason")) or None,
        stop=word(stop) or None,
    )


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(word(each.get("text")) for each in content if isinstance(each, dict))
    return word(content)


def _call(call: Body, place: int) -> Call:
    function = _in(call, "function")
    index, given = call.get("index"), function.get("arguments")
    if isinstance(given, dict):  # some write the object itself
        given = json.dumps(given)
    return Call(
        index=index if isinstance(index, int) and not isinstance(index, bool) else place,
        id=word(call.get("id")),
        name=word(function.get("name")),
        arguments=word(given),
    )
