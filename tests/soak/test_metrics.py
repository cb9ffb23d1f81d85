"""Metrics, ledger and clients agree exactly: 100,000 requests of mixed kinds, while the control
plane is killed again and again and the log is rotated."""

from __future__ import annotations

from tests.metrics_campaign import campaign


def test_metrics_ledger_and_clients_agree_through_kills_and_rotations() -> None:
    print(campaign(100_000, "embedded"))
