"""Guardrails as they are asked: what one finds in a text, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from infergate.api.guard import pii
from infergate.api.guard.pii import Pii
from infergate.api.guard.words import DeniedWords

Side = Literal["requests", "answers"]


_CUT = 12
"""Of an escape of JSON that is cut, and what stands beside a word."""


class Blocked(Exception):
    """A guardrail refuses. label: which, by what, and on which side, with dots between."""

    def __init__(self, guardrail: str, what: str, side: Side) -> None:
        super().__init__(f"{guardrail}.{what}.{side}")
        self.label, self.guardrail, self.side = str(self), guardrail, side


class Rule:
    """One guardrail. said: its settings, as the file has them (config/guardrails.py)."""

    def __init__(self, name: str, said: Mapping[str, Any]) -> None:
        """Raises ImportError where it needs what is not installed."""
        self.name, self.unseen = name, said["unseen"]
        self.judge: Mapping[str, Any] | None = said["judge"]
        self.most: int | None = said["max_answer"]
        self._words = DeniedWords(said["deny"], said["allow"])
        self._words_of: Sequence[Side] = said["deny_of"] if said["deny"] else ()
        personal = said["pii"]
        self._pii_of: Sequence[Side] = personal["of"] if personal else ()
        self._redacts = personal is not None and personal["action"] == "redact"
        self._pii = Pii(personal["entities"], said["allow"]) if personal else None

    def looks_at(self, side: Side) -> bool:
        """Whether anything of it is about texts of this side, a judge aside."""
        return side in self._words_of or side in self._pii_of

    def judges(self, side: Side) -> bool:
        """Whether its judge does."""
        return self.judge is not None and side in self.judge["of"]

    def window(self, side: Side) -> int:
        """Characters in which something of it may stand, without what nobody sees between them."""
        words = self._words.longest + _CUT if side in self._words_of else 0
        return max(words, pii.LONGEST if side in self._pii_of else 0)

    def refuse(self, text: str, side: Side) -> None:
        """Raises Blocked where the text is not to pass, whatever is taken out of it."""
        if side in self._words_of and self._words.are_in(text):
            raise Blocked(self.name, "deny", side)
        if side in self._pii_of and not self._redacts and self.found_in(text, side):
            raise Blocked(self.name, "pii", side)

    def found_in(self, text: str, side: Side) -> list[pii.Found]:
        """Personal data in it."""
        return self._pii.found_in(text) if self._pii is not None and side in self._pii_of else []

    def passed(self, text: str, side: Side) -> str:
        """The text as it may pass. Raises Blocked."""
        self.refuse(text, side)
        if self._pii is None or side not in self._pii_of or not text:
            return text
        return self._pii.redacted(text)


class RulesByName:
    """Those of the gateway, by name. Each is made when it is asked first, and again where that
    failed."""

    def __init__(self, said: Mapping[str, Mapping[str, Any]]) -> None:
        self._said = said
        self._made = lru_cache(maxsize=None)(self._make)

    def of(self, names: Sequence[str]) -> list[Rule]:
        """Raises KeyError for one that is not there, ImportError for one that cannot be asked."""
        return [self._made(each) for each in names]

    def _make(self, name: str) -> Rule:
        return Rule(name, self._said[name])
