"""Personal data, found by Presidio's patterns and checksums. Presidio is imported where a guardrail
asks for it, which takes seconds; no model of language is, and nothing is asked of the network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from infergate.api.guard.words import unescaped

LONGEST = 256
"""Characters of what is found: an address of mail has 254 at most (RFC 5321)."""

_LEAST_SCORE = 0.3
"""Presidio's own bare numbers have less: any nine digits would be a social security number."""

Found = tuple[int, int, str]
"""Where it begins and ends, and what it is."""


class Pii:
    """What one guardrail looks for."""

    def __init__(self, entities: Sequence[str], allowed: Sequence[str]) -> None:
        """Raises ImportError where Presidio is not installed."""
        self._recognizers = [_recognizer(each) for each in entities]
        text = "|".join(map(re.escape, allowed))
        self._allowed = re.compile(text or "(?!)", re.IGNORECASE)

    def found_in(self, text: str) -> list[Found]:
        """In order, none over another."""
        found = sorted(
            (each.start, -each.end, each.entity_type)
            for recognizer in self._recognizers
            for each in recognizer.analyze(text, recognizer.supported_entities, None) or ()
            if each.score >= _LEAST_SCORE
        )
        allowed = [each.span() for each in self._allowed.finditer(text)] if found else []
        kept: list[Found] = []
        for start, minus_end, kind in found:
            within = any(begin <= start and -minus_end <= over for begin, over in allowed)
            if not within and (not kept or start >= kept[-1][1]):
                kept.append((start, -minus_end, kind))
        return kept

    def redacted(self, text: str) -> str:
        """The text without it; read first, where JSON's escapes hide it."""
        read = unescaped(text)
        if read != text and self.found_in(read):
            text = read
        return replaced(text, self.found_in(text))


def replaced(text: str, found: Sequence[Found]) -> str:
    """With what it is in the place of each."""
    parts, at = [], 0
    for start, end, kind in found:
        parts += [text[at:start], f"<{kind}>"]
        at = end
    return "".join([*parts, text[at:]])


def _recognizer(entity: str) -> Any:
    from presidio_analyzer import predefined_recognizers as known

    class Email(known.EmailRecognizer):  # type: ignore[misc, name-defined, unused-ignore]
        """Presidio would fetch a list of domains from the network to look at the address's own."""

        def validate_result(self, pattern_text: str) -> bool | None:  # noqa: ARG002
            return None

    makers = {
        "CREDIT_CARD": known.CreditCardRecognizer,
        "CRYPTO": known.CryptoRecognizer,
        "EMAIL_ADDRESS": Email,
        "IBAN_CODE": known.IbanRecognizer,
        "IP_ADDRESS": known.IpRecognizer,
        "PHONE_NUMBER": known.PhoneRecognizer,
        "US_SSN": known.UsSsnRecognizer,
    }
    return makers[entity]()
