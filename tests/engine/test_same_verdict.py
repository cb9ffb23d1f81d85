"""The same body has the same verdict: on the short way and the long one, on both engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from infergate.engine.find import find_debian
from tests.cache import ENGINES_HOME
from tests.same_verdict import Four, Sent, four, requests

EXAMPLES = 150
"""`make soak` makes thousands (tests/soak/test_same_verdict.py)."""

pytestmark = pytest.mark.skipif(
    not find_debian(ENGINES_HOME), reason="Debian's engine is not installed"
)


@pytest.fixture(scope="module")
def gateways() -> Iterator[Four]:
    with four() as all_of_them:
        yield all_of_them


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=requests())
def _send(gateways: Four, sent: Sent) -> None:
    gateways.send(sent)


@pytest.mark.long
def test_any_body_and_any_headers_have_one_verdict_both_ways_on_both_engines(
    gateways: Four,
) -> None:
    gateways.seen.clear()
    _send(gateways)
    gateways.compare()
