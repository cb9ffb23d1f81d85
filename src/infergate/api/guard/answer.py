"""Answers as guardrails let them pass: of /v1/chat/completions and /v1/completions only what is
known to be there, so that nothing passes which was not looked through (numbers of tokens)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infergate.api.guard.rules import Blocked, Rule
from infergate.api.guard.texts import passed

CHOSEN = frozenset(("/v1/chat/completions", "/v1/completions"))
"""Their answers have choices."""

FILTERED = "content_filter"
"""OpenAI's finish_reason of what a filter left out."""

TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
"""Of a message or a delta."""

TOP = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "usage")
_FINISHES = frozenset(("stop", "length", "tool_calls", "function_call", FILTERED))
_VECTORS = frozenset(("embedding",))
"""Numbers, or the same in base64."""


def passed_answer(path: str, answer: Mapping[str, Any], rules: Sequence[Rule]) -> dict[str, Any]:
    """The answer as it may pass. Raises Blocked."""
    if path not in CHOSEN:
        found = dict(answer)
        for rule in rules:
            found = passed(found, rule, "answers", kept=_VECTORS)
        return found
    choices = answer.get("choices")
    known = (
        [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
    )
    found = top_of(answer)
    found["choices"] = [choice_of(each) for each in known]
    for rule in rules:
        found = passed(found, rule, "answers")
    most = min((rule.most for rule in rules if rule.most is not None), default=None)
    if most is not None:
        for choice in found["choices"]:
            _cut(choice, most)
    return found


def top_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What of an answer or a chunk is not its choices."""
    return {name: answer[name] for name in TOP if name in answer}


def choice_of(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A choice of an answer that came whole."""
    found: dict[str, Any] = {"index": choice.get("index", 0)}
    if isinstance(choice.get("text"), str):
        found["text"] = choice["text"]
    if isinstance(message := choice.get("message"), dict):
        told = {name: text for name in TEXTS if (text := message.get(name)) is not None}
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            told["tool_calls"] = [call_of(each) for each in calls if isinstance(each, dict)]
        found["message"] = {"role": "assistant", "content": None, **told}
    return {**found, "logprobs": None, "finish_reason": finish_of(choice)}


def call_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call of a tool, or what a chunk has of one."""
    known = {name: call[name] for name in ("index", "id", "type") if name in call}
    function = call.get("function")
    if isinstance(function, dict):
        known["function"] = {n: function[n] for n in ("name", "arguments") if n in function}
    return known


def finish_of(choice: Mapping[str, Any]) -> str | None:
    """Why it ended, in OpenAI's words; None where it did not."""
    said = choice.get("finish_reason")
    if said is None or said in _FINISHES:
        return said
    return "stop"


def emptied(path: str, answer: Mapping[str, Any], blocked: Blocked) -> dict[str, Any]:
    """The answer with nothing in it, as OpenAI's own has it that a filter kept back. Raises the
    refusal where an answer has no such form."""
    if path not in CHOSEN:
        raise blocked
    text: dict[str, Any] = {"text": ""} if path == "/v1/completions" else {}
    message = {} if text else {"message": {"role": "assistant", "content": None, "refusal": None}}
    choice = {"index": 0, **text, **message, "logprobs": None, "finish_reason": FILTERED}
    return {**{n: v for n, v in top_of(answer).items() if n != "id"}, "id": "", "choices": [choice]}


def _cut(choice: dict[str, Any], most: int) -> None:
    """To so many characters, of all that it says."""
    left = most
    said = choice.get("message", choice)
    for name in (*TEXTS, "text"):
        if isinstance(text := said.get(name), str):
            said[name] = text[:left]
            left -= len(said[name])
            if len(text) > len(said[name]):
                choice["finish_reason"] = "length"
    for call in said.get("tool_calls", ()):
        arguments = call.get("function", {}).get("arguments")
        if isinstance(arguments, str) and len(arguments) > left:
            said["tool_calls"] = []
            choice["finish_reason"] = "length"
            return
        left -= len(arguments or "")
