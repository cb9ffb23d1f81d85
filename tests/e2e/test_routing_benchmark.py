"""The routing benchmark, live: two simulated engines behind a real router, a dozen requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.routing.outcome import Run
from bench.routing.run import measure
from bench.routing.scenarios import Scenario
from bench.routing.workloads import CONVERSATION


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Four conversations of three turns, 4,000 tokens and 1,024 more each turn."""
    rows = [
        {
            "timestamp": 1000 * (conversation + 5 * turn),
            "input_length": 512 * (8 + 2 * turn),
            "output_length": 10,
            "hash_ids": [100 * (conversation + 1) + block for block in range(8 + 2 * turn)],
        }
        for turn in range(3)
        for conversation in range(4)
    ]
    file = tmp_path / "trace.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize("router", ["infergate:prefix", "nginx:least_conn"])
def test_a_dozen_requests_are_answered_and_what_they_waited_is_told(
    router: str, trace: Path
) -> None:
    scenario = Scenario("smoke", CONVERSATION, 2, window_s=30.0, warm_s=0.0, trace=trace)
    found = measure(Run(scenario, router, seed=1, scale=10.0))
    assert (found.requests, found.errors, found.first_error) == (12, 0, "")
    # A second turn that is at home reads 1,024 tokens, at 8,000 a second.
    assert 0.1 < found.p50_s <= found.p95_s <= found.p99_s
    assert found.imbalance >= 1.0
    if router == "infergate:prefix":
        # Of 8, 10 and 12 blocks the second and third turn find 8 and 10.
        assert found.hit == pytest.approx(18 / 30, abs=0.01), "each conversation has its home"
