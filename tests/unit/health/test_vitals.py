"""Hung, slow, and how often to look: from readings of the work, without a clock."""

from __future__ import annotations

from typing import Any

from infergate.health.condition import Condition, judge
from infergate.health.tracker import Track
from infergate.health.vitals import Vitals, VitalsUnanswered, observe
from infergate.kinds.work import Work

INTERVAL_S = 3


def after(*readings: Any, ours: int = 0, latency_s: float = 0.01) -> Vitals:
    """The vitals after one reading every 3 s; the last one is at the time 3 × their number."""
    vitals = Vitals(moved_at=0)
    for number, reading in enumerate(readings, start=1):
        vitals = observe(
            vitals,
            reading,
            number * INTERVAL_S,
            ours=ours,
            latency_s=latency_s,
            timeout_s=1,
        )
    return vitals


def at_work(tokens: int, **more: Any) -> Work:
    return Work(**{"running": 1, "waiting": 0, "pulse": (tokens,), **more})


IDLE = Work(running=0, waiting=0, pulse=(5,))


def test_an_engine_with_requests_and_no_tokens_stands_still() -> None:
    assert after(at_work(5), at_work(5), at_work(5)).still_for(9) == 6


def test_every_token_ends_standing_still() -> None:
    assert after(at_work(5), at_work(5), at_work(6)).still_for(9) == 0


def test_an_engine_that_started_anew_moves() -> None:
    assert after(at_work(5), at_work(5), at_work(0)).still_for(9) == 0


def test_an_idle_engine_never_stands_still_and_the_time_before_does_not_count() -> None:
    assert after(IDLE, IDLE, IDLE).still_for(9) == 0
    assert after(IDLE, IDLE, at_work(5)).still_for(9) == 0
    assert after(IDLE, IDLE, at_work(5), at_work(5)).still_for(12) == 3


def test_requests_of_ours_that_the_engine_does_not_admit_to_count_too() -> None:
    assert after(IDLE, IDLE, IDLE, ours=2).still_for(9) == 6


def test_an_engine_whose_metrics_do_not_come_either_stands_still() -> None:
    assert after(at_work(5), VitalsUnanswered(), VitalsUnanswered()).still_for(9) == 6
    assert after(IDLE, VitalsUnanswered(), VitalsUnanswered()).still_for(9) == 0
    assert after(IDLE, VitalsUnanswered(), VitalsUnanswered(), ours=1).still_for(9) == 6


def test_of_an_engine_that_never_told_anything_nothing_is_concluded() -> None:
    assert after(None, None, None, ours=3).still_for(9) == 0
    assert after(VitalsUnanswered(), VitalsUnanswered(), ours=3).still_for(6) == 0
    assert after(*[Work(running=4)] * 3, ours=3).still_for(9) == 0


def test_slow_by_queue_kv_cache_or_probe_and_only_twice_in_a_row() -> None:
    queue, cache = at_work(1, waiting=5), at_work(1, kv_cache_use=0.8)
    assert after(queue).slow == ""
    assert after(queue, queue).slow == "5 or more requests wait in its own queue"
    assert after(at_work(1, waiting=4), at_work(1, waiting=4)).slow == ""
    assert after(cache, cache).slow == "its KV cache is 80% full or more"
    assert after(None, None, latency_s=0.51).slow == "its health check takes more than 0.5 s"
    assert after(None, None, latency_s=0.5).slow == ""
    assert after(queue, queue, IDLE).slow != ""
    assert after(queue, queue, IDLE, IDLE).slow == ""


def test_a_saturated_engine_is_asked_less_and_at_once_again_when_it_stands_still() -> None:
    full = [at_work(tokens, waiting=9) for tokens in range(6)]
    assert [after(*full[:count]).spacing for count in range(1, 6)] == [1, 2, 4, 4, 4]
    assert after(*full, full[-1]).spacing == 1
    assert after(*full, at_work(9)).spacing == 1
    assert after(*full, VitalsUnanswered()).spacing == 1


def condition(
    vitals: Vitals, clock: float, hung_after_s: float = 6, state: Any = "up"
) -> Condition:
    track = Track(since=1, state=state, reason="as the probes say")
    before = Condition("up", "as the probes say", 1)
    return judge(before, track, vitals, hung_after_s=hung_after_s, clock=clock, now=100)


def test_the_state_that_probes_and_work_make() -> None:
    still = after(at_work(5), at_work(5), at_work(5, waiting=9))
    assert condition(still, 9) == Condition(
        "hung", "it has requests and no token came for 6 s", 100
    )
    assert condition(still, 8.9) == Condition("up", "as the probes say", 1)
    assert condition(still, 9, hung_after_s=0).state == "up"
    assert condition(still, 9, state="down") == Condition("down", "as the probes say", 100)
    assert condition(still, 9, state="unknown").state == "unknown"
    full = after(at_work(1, waiting=9), at_work(2, waiting=9))
    assert condition(full, 6).state == "slow"
