"""20,000 bodies in every dialect through a whole gateway (tests/dialect_bodies.py)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings

from tests.dialect_bodies import Asked, fuzzed, requests

BODIES = int(os.environ.get("INFERGATE_FUZZ_BODIES", "20000"))


def test_twenty_thousand_bodies_are_answered_or_refused_in_their_dialects(engine: str) -> None:
    with fuzzed(engine) as it:

        @settings(
            max_examples=BODIES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(requests())
        def ask(asked: Asked) -> None:
            it.ask(asked)

        ask()
        it.check_secret()
        print(f"{BODIES} bodies")
