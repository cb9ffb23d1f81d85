"""Thousands of bodies and headers: one verdict each, both ways, on both engines."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.gateway import Gateway
from tests.same_verdict import Four, Sent, four, requests

EXAMPLES = 5000


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=requests())
def _send(gateways: Four, sent: Sent) -> None:
    gateways.send(sent)


def test_any_body_and_any_headers_have_one_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gateway, "forks", True)  # the Python of the tests may be root's own
    with four() as gateways:
        _send(gateways)
        gateways.compare()
