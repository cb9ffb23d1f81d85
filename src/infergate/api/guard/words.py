"""Denied words in a text, however they are written: cases, compatibility forms, accents and what
nobody sees are the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_UNSEEN = {ord(each): None for each in "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"}
"""What is drawn as nothing and is a letter or a symbol all the same."""

_LETTER = "0-9a-z\u00df-\u052f"
"""Of the scripts that have spaces between words, in lower case and without accents."""

_AT_LETTER = re.compile(f"[{_LETTER}]")
_NEVER = re.compile(r"(?!)")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def plain(text: str) -> str:
    """The text as words are looked for in it. NFKD and case folding twice: each can bring what the
    other changes (Unicode 3.13, D146)."""
    for _ in range(2):
        text = unicodedata.normalize("NFKD", text).casefold()
    text = text.translate(_UNSEEN)
    return "".join(each for each in text if unicodedata.category(each) not in ("Mn", "Me", "Cf"))


def unescaped(text: str) -> str:
    """The text with JSON's escapes read: arguments of tools are JSON within a text."""
    if "\\u" not in text:
        return text
    read = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class DeniedWords:
    """Those of one guardrail."""

    def __init__(self, denied: Sequence[str], allowed: Sequence[str]) -> None:
        """denied: `blue*` is every word that begins so. allowed: within these, none is found."""
        self._denied, self._allowed = _any_of(denied), _any_of(allowed)
        self._has_allowed = bool(allowed)
        self.longest = max((len(plain(each)) for each in denied), default=0)

    def are_in(self, text: str) -> bool:
        """Whether a denied word is."""
        if self.longest == 0:
            return False
        return self._found(plain(text)) or ("\\u" in text and self._found(plain(unescaped(text))))

    def _found(self, text: str) -> bool:
        allowed: list[tuple[int, int]] | None = None
        at = 0
        while match := self._denied.search(text, at):
            if allowed is None and self._has_allowed:
                allowed = [each.span() for each in self._allowed.finditer(text)]
            start, end = match.span()
            if not any(begin <= start and end <= over for begin, over in allowed or ()):
                return True
            at = start + 1
        return False


def _any_of(words: Sequence[str]) -> re.Pattern[str]:
    """What stands beside words is looked at once for all that are alike: `re` is quick then."""
    alike: dict[tuple[str, str], set[str]] = {}
    for word in words:
        before, found, after = _pattern(word)
        alike.setdefault((before, after), set()).add(found)
    groups = (f"{b}(?:{'|'.join(sorted(each))}){a}" for (b, a), each in alike.items())
    return re.compile("|".join(groups)) if words else _NEVER


def _pattern(word: str) -> tuple[str, str, str]:
    """The word, with what may not stand before and behind it."""
    open_ended = word.endswith("*")
    parts = [part for part in re.split(r"[\W_]+", plain(word)) if part]
    found = r"[\W_]+".join(map(re.escape, parts))
    before = f"(?<![{_LETTER}])" if _AT_LETTER.match(parts[0]) else ""
    after = f"(?![{_LETTER}])" if _AT_LETTER.match(parts[-1][-1]) and not open_ended else ""
    return before, found, after
