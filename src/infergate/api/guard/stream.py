"""A stream of /v1/chat/completions or /v1/completions as guardrails let it pass, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infergate.api.guard.answer import TEXTS, call_of, finish_of, top_of
from infergate.api.guard.held import HeldText
from infergate.api.guard.rules import Blocked, Rule

_Place = tuple[str, ...]
"""Of a text in a choice: ("content",), or ("tool_calls", "0", "arguments")."""


class GuardedChoice:
    """One of a stream's."""

    def __init__(self, rules: Sequence[Rule], most: int | None) -> None:
        """most: characters that it may have; None for any."""
        self._rules, self._left = rules, most
        self._texts: dict[_Place, HeldText] = {}
        self._names: dict[str, str] = {}
        self.finish: str | None = None

    def feed(self, choice: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a chunk may say of it now; None for nothing. Raises Blocked."""
        if self.finish is not None:
            return None
        out: dict[str, Any] = {}
        if isinstance(choice.get("text"), str):
            self._say(out, ("text",), choice["text"])
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if isinstance(delta.get("role"), str):
            out["role"] = "assistant"
        for name in TEXTS:
            if isinstance(text := delta.get(name), str):
                self._say(out, (name,), text)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._call(out, call)
        return self._ended(choice, out)

    def _ended(self, choice: Mapping[str, Any], out: dict[str, Any]) -> dict[str, Any] | None:
        finish = self.finish or finish_of(choice)
        if finish is not None:
            self._flush(out)  # which may end it otherwise
            self.finish = self.finish or finish
        if not out and self.finish is None:
            return None
        return self._shaped(out, choice.get("index", 0), "text" in choice)

    def _shaped(self, out: dict[str, Any], index: Any, is_text: bool) -> dict[str, Any]:
        said = {"text": out.get("text", "")} if is_text else {"delta": out}
        return {"index": index, **said, "logprobs": None, "finish_reason": self.finish}

    def _say(self, out: dict[str, Any], place: _Place, text: str) -> None:
        for other in self._texts:
            if other != place:
                _add(out, other, self._within(self._texts[other].flush()))
        held = self._texts.setdefault(place, HeldText(self._rules))
        _add(out, place, self._within(held.feed(text)))

    def _flush(self, out: dict[str, Any]) -> None:
        for place, held in self._texts.items():
            _add(out, place, self._within(held.flush()))

    def _call(self, out: dict[str, Any], call: Mapping[str, Any]) -> None:
        known = call_of(call)
        function = known.pop("function", {})
        index = known.get("index", 0)
        if isinstance(name := function.get("name"), str):
            whole = self._names[str(index)] = self._names.get(str(index), "") + name
            for rule in self._rules:
                if rule.passed(whole, "answers") != whole:
                    raise Blocked(rule.name, "pii", "answers")
            known["function"] = {"name": name, "arguments": ""}
        if "id" in known or "function" in known:
            out.setdefault("tool_calls", []).append({"index": index, **known})
        if isinstance(arguments := function.get("arguments"), str):
            self._say(out, ("tool_calls", str(index), "arguments"), arguments)

    def _within(self, text: str) -> str:
        """As much of it as it may have still."""
        if self._left is None:
            return text
        kept = text[: self._left]
        self._left -= len(kept)
        if len(kept) < len(text):
            self.finish = "length"
        return kept


class Stream:
    """Of one answer."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._most = min((rule.most for rule in rules if rule.most is not None), default=None)
        self._choices: dict[str, GuardedChoice] = {}
        self._last: dict[str, Any] = {}

    def feed(self, chunk: Mapping[str, Any]) -> dict[str, Any] | None:
        """The chunk as it may pass; None where there is nothing of it. Raises Blocked."""
        top = top_of(chunk)
        choices = chunk.get("choices")
        given = (
            [each for each in choices if isinstance(each, dict)]
            if isinstance(choices, list)
            else []
        )
        self._last = {name: value for name, value in top.items() if name != "usage"}
        told = [said for each in given if (said := self._choice(each).feed(each)) is not None]
        if not told and (given or not top.get("usage")):
            return None
        return {**top, "choices": told}

    def _choice(self, choice: Mapping[str, Any]) -> GuardedChoice:
        return self._choices.setdefault(
            str(choice.get("index", 0)), GuardedChoice(self._rules, self._most)
        )

    @property
    def is_full(self) -> bool:
        """Whether every choice that began was cut: nothing more is to come."""
        return bool(self._choices) and all(
            each.finish == "length" for each in self._choices.values()
        )

    @property
    def is_over(self) -> bool:
        """Whether every choice that began has said why it ended."""
        return bool(self._choices) and all(each.finish for each in self._choices.values())

    def cut(self, finish: str, *, is_text: bool) -> Iterator[dict[str, Any]]:
        """Ends what has not ended, with nothing of what is held."""
        for index, choice in (self._choices or {"0": GuardedChoice((), None)}).items():
            if choice.finish is None:
                choice.finish = finish
                said: dict[str, Any] = {"text": ""} if is_text else {"delta": {}}
                end = {"index": int(index), **said, "logprobs": None, "finish_reason": finish}
                yield {**self._last, "choices": [end]}


def _add(out: dict[str, Any], place: _Place, text: str) -> None:
    if not text:
        return
    if len(place) == 1:
        out[place[0]] = out.get(place[0], "") + text
        return
    index = int(place[1])
    calls = out.setdefault("tool_calls", [])
    call = next((each for each in calls if each["index"] == index), None)
    if call is None:
        calls.append(call := {"index": index})
    function = call.setdefault("function", {})
    function["arguments"] = function.get("arguments", "") + text
