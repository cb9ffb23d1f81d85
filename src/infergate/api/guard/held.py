"""A text in pieces, of which the end is held back: what is looked for may be cut there."""

from __future__ import annotations

from collections.abc import Sequence

from infergate.api.guard.pii import replaced
from infergate.api.guard.rules import Blocked, Rule
from infergate.api.guard.words import plain, unescaped

_MOST_UNSEEN = 64 * 1024
_LEAST_STEP = 16
"""Characters that come before all is looked through again."""


class HeldText:
    """One text: of a choice, what it says, thinks, or calls a tool with."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._window = max((rule.window("answers") for rule in rules), default=0)
        self._step = max(_LEAST_STEP, self._window // 4)
        self._gone = ""  # the last of what went out, which what comes may go on
        self._held = ""
        self._next = self._window + self._step

    def feed(self, text: str) -> str:
        """What may go out now. Raises Blocked: what was held never goes out."""
        self._held += text
        if len(self._held) < self._next:
            return ""
        out = self._released(len(self._held) - self._window)
        if len(self._held) > _MOST_UNSEEN:
            raise Blocked(self._rules[0].name, "deny", "answers")
        # Where little of it is seen, much is held: each character is to be looked at a few times.
        left = max(len(self._held), self._window)
        self._next = left + max(self._step, left // 4)
        return out

    def flush(self) -> str:
        """All the rest: the text is over, or another one goes on. Raises Blocked."""
        return self._released(len(self._held)) if self._held else ""

    def _released(self, upto: int) -> str:
        seen = self._gone + self._held
        for rule in self._rules:
            rule.refuse(seen, "answers")
            if "\\u" in seen and rule.found_in(unescaped(seen), "answers"):
                raise Blocked(rule.name, "pii", "answers")
        upto = self._before_unseen(upto)
        before = len(self._gone)
        out, left = self._held[:upto], self._held[upto:]
        for rule in self._rules:
            found = [
                (start - before, end - before, kind)
                for start, end, kind in rule.found_in(seen, "answers")
                if end > before
            ]
            if any(start < 0 for start, _, _ in found):
                raise Blocked(rule.name, "pii", "answers")
            cut = next((start for start, end, _ in found if start < upto < end), upto)
            if cut < upto:
                return self._released(cut) if cut else ""
        for rule in self._rules:
            out = replaced(out, rule.found_in(out, "answers")) if out else out
        self._gone = self._tail(self._gone + self._held[:upto])
        self._held = left
        return out

    def _before_unseen(self, upto: int) -> int:
        """Where what is held behind it has as many characters that are seen as the window has."""
        if upto == len(self._held):
            return upto
        size = len(self._held) - upto
        while size < len(self._held) and self._seen(self._held[-size:]) < self._window:
            size *= 2
        return max(0, len(self._held) - size)

    @staticmethod
    def _seen(text: str) -> int:
        return len(plain(unescaped(text)))

    def _tail(self, text: str) -> str:
        """The end of it in which as many are seen. Raises Blocked where nearly nothing is."""
        size = self._window + 1
        while size < len(text) and len(plain(text[-size:])) < self._window:
            size *= 2
            if size > _MOST_UNSEEN:
                raise Blocked(self._rules[0].name, "deny", "answers")
        return text[-size:]
