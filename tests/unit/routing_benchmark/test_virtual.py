"""Policies in virtual time: Infergate's own njs under Node, before simulated engines."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from bench.routing.fleet import Fault
from bench.routing.outcome import Outcome, Run
from bench.routing.scenarios import BOX, Scenario
from bench.routing.virtual import MODELLED, TWO, simulate
from bench.routing.workloads import BOXES, CONVERSATION
from tests.cache import CACHE

HAS_NODE = (CACHE / "njs" / "bin" / "node").exists() or shutil.which("node") is not None
pytestmark = pytest.mark.skipif(not HAS_NODE, reason="Node.js runs njs' files here")

FOUR = Scenario("four", CONVERSATION, 4, 0.8, window_s=100.0, warm_s=20.0)


def found(router: str, scenario: Scenario = FOUR, seed: int = 1) -> Outcome:
    return simulate(Run(scenario, router, seed, 1.0))


@pytest.mark.parametrize("router", MODELLED)
def test_every_request_is_answered_and_the_same_call_gives_the_same_numbers(router: str) -> None:
    one = found(router)
    assert one.requests > 50
    assert one.errors == 0, one.first_error
    assert 0 < one.p50_s <= one.p95_s <= one.p99_s
    assert found(router) == one


def test_the_first_token_comes_sooner_by_work_than_by_requests_in_flight() -> None:
    assert found("infergate:work").p95_s < 0.7 * found("infergate:least_busy").p95_s
    assert found("infergate:work").hit > found("least_conn").hit


def test_a_second_gateway_that_is_told_nothing_costs() -> None:
    assert found("infergate:work").p95_s < found(TWO).p95_s < found("infergate:least_busy").p95_s


def test_no_request_without_a_token_is_lost_when_an_engine_dies() -> None:
    dies = replace(FOUR, faults=(Fault(0, "death", 40.0, 20.0),))
    prompts = [turn.prompt_tokens for chain in dies.traffic(1) for turn in chain]
    assert min(prompts) > 500, "so each is large enough to be held until its first token"
    ours = found("infergate:work", dies)
    assert ours.before_token == 0, ours.first_error
    assert ours.p99_s < 60


@pytest.mark.parametrize("seed", [1, 3])
def test_boxes_that_load_models_do_not_drive_them_out_in_turns(seed: int) -> None:
    """Six models on four boxes that hold two each: about one load for each place."""
    boxes = Scenario("boxes", BOXES, 4, 0.5, hardware=BOX, kind="ollama", window_s=200.0)
    ours = found("infergate:work", boxes, seed)
    assert ours.errors == 0
    assert ours.loads <= 10
    assert ours.p95_s < 30
