"""Personal data, found by Presidio itself; passed over where it is not installed."""

from __future__ import annotations

from typing import Any

import pytest

from infergate.api.guard.held import HeldText
from infergate.api.guard.rules import Blocked, Rule

pytest.importorskip("presidio_analyzer")
KINDS = ["EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE"]


def rule(action: str = "redact") -> Rule:
    personal = {"entities": KINDS, "action": action, "of": ["requests", "answers"]}
    said: dict[str, Any] = {"deny": [], "allow": ["team@example.org"], "deny_of": []}
    said |= {"pii": personal, "judge": None, "max_answer": None, "unseen": "refuse"}
    return Rule("house", said)


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("mail bob@example.org", "mail <EMAIL_ADDRESS>"),
        ("card 4111 1111 1111 1111.", "card <CREDIT_CARD>."),
        ("to DE89370400440532013000", "to <IBAN_CODE>"),
        ("mail team@example.org", "mail team@example.org"),
        ("number 4111 1111 1111 1112", "number 4111 1111 1111 1112"),
        (r'{"q":"bob\u0040example.org"}', '{"q":"<EMAIL_ADDRESS>"}'),
    ],
)
def test_it_is_taken_out(text: str, passed: str) -> None:
    assert rule().passed(text, "requests") == passed


def test_or_refused() -> None:
    with pytest.raises(Blocked) as blocked:
        rule("refuse").passed("mail bob@example.org", "requests")
    assert blocked.value.label == "house.pii.requests"


def test_it_is_taken_out_of_a_stream_wherever_that_is_cut() -> None:
    text = "Write to bob.miller@example.org today. " + "and more " * 60
    expected = text.replace("bob.miller@example.org", "<EMAIL_ADDRESS>")
    for at in range(1, 45):
        held = HeldText([rule()])
        assert held.feed(text[:at]) + held.feed(text[at:]) + held.flush() == expected
    held = HeldText([rule()])
    assert "".join(map(held.feed, text)) + held.flush() == expected
