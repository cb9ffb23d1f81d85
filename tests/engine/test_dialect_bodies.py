"""Any body, in any dialect: never a fault of ours, nor a model that the key may not use.

The whole campaign of 20,000 is tests/soak/test_dialect_bodies.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.dialect_bodies import Asked, Fuzzed, fuzzed, requests


@pytest.fixture(scope="module")
def gateway(engine: str) -> Iterator[Fuzzed]:
    with fuzzed(engine) as it:
        yield it
        it.check_secret()


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(requests())
def test_any_body_is_answered_or_refused_in_its_dialect(gateway: Fuzzed, asked: Asked) -> None:
    gateway.ask(asked)
