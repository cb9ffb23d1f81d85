"""The model of an engine that the routing benchmark is made of."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.routing.engine import Engine, Hardware, Job
from bench.routing.prompts import CHARACTERS, blocks_of, text

PLAIN = Hardware(
    prefill_tokens_s=1000.0,
    attention_tokens=math.inf,
    step_s=0.0,
    context_token_s=0.0,
    sequence_s=0.0,
    kv_tokens=10_000,
    max_num_batched_tokens=500,
    max_num_seqs=8,
    block_tokens=100,
)
"""Reading a token takes a millisecond, and nothing else takes any time."""
WRITES = replace(PLAIN, step_s=0.01)
"""A token of an answer takes 10 ms, too, and so does each step that reads."""


def job(prompt: str, tokens: int, answer: int = 1, *, at: float = 0.0, model: str = "") -> Job:
    content = text(prompt, tokens)
    assert len(content) == tokens * CHARACTERS
    return Job(0, blocks_of(content, 100, model), tokens, answer, at, model)


def run(engine: Engine, *jobs: Job) -> None:
    """Each is submitted at its time, and all are answered."""
    waiting = sorted(jobs, key=lambda each: each.arrived_s)
    while waiting or engine.next_event() is not None:
        ends = engine.next_event()
        if waiting and (ends is None or waiting[0].arrived_s < ends):
            engine.submit(waiting[0], waiting.pop(0).arrived_s)
        else:
            engine.step()


def test_the_first_token_is_there_when_the_prompt_is_read() -> None:
    one = job("a", 1500)
    run(Engine(PLAIN), one)
    assert one.first_s == pytest.approx(1.5)


def test_a_prompt_is_read_in_pieces_between_the_tokens_of_answers() -> None:
    first, second = job("a", 100, 1000), job("b", 1500, at=0.2)
    run(Engine(WRITES), first, second)
    # 0.11, then steps of 10 ms. At 0.21 the first of 4 steps that read 499, 499, 499 and 3 tokens.
    assert second.first_s == pytest.approx(0.21 + 1.5 + 4 * 0.01)
    assert first.ended_s == pytest.approx(0.11 + 999 * 0.01 + 1.5)


def test_tokens_far_into_a_prompt_take_longer() -> None:
    one = job("a", 1000)
    run(Engine(replace(PLAIN, attention_tokens=1000.0)), one)
    assert one.first_s == pytest.approx(1.0 * 1.5)


def test_a_prefix_that_was_read_before_is_not_read_again() -> None:
    first, second = job("a", 1000), job("a", 1200, at=5.0)
    run(Engine(PLAIN), first, second)
    assert second.hit == 1000
    assert second.first_s == pytest.approx(5.2)


def test_the_last_token_of_a_prompt_is_always_read() -> None:
    first, second = job("a", 1000), job("a", 1000, at=5.0)
    run(Engine(PLAIN), first, second)
    assert second.hit == 900
    assert second.first_s == pytest.approx(5.1)


def test_a_prompt_that_is_not_read_yet_helps_nobody() -> None:
    first, second = job("a", 1200), job("a", 1200, at=0.1)
    run(Engine(PLAIN), first, second)  # the third step ends the one and begins the other
    assert second.hit == 0


def test_what_was_used_longest_ago_leaves_the_cache_its_end_first() -> None:
    engine = Engine(PLAIN)  # 100 blocks
    old, newer = job("old", 4000), job("newer", 4000, at=10.0)
    run(engine, old, newer)
    run(engine, job("more", 2950, 50, at=20.0))
    old_again = job("old", 4000, at=30.0)
    newer_again = job("newer", 4000, at=40.0)
    run(engine, newer_again)
    assert newer_again.hit == 3900
    run(engine, replace(old_again, arrived_s=50.0))
    # 30 blocks were needed: 20 were free, 10 are of the old one's end.
    found = replace(old_again, arrived_s=60.0, pinned=[])
    assert engine._match(found.blocks) == 40, "it was read again"


def test_the_head_of_an_evicted_prompt_stays_longest() -> None:
    engine = Engine(PLAIN)
    run(engine, job("old", 4000), job("newer", 4000, at=10.0), job("more", 2950, 50, at=20.0))
    again = job("old", 4000, at=30.0)
    run(engine, again)
    assert again.hit == 3000


def test_a_request_waits_until_the_cache_has_room_for_it() -> None:
    engine = Engine(WRITES)
    first, second = job("a", 6000, 100), job("b", 6000, at=0.001)
    run(engine, first, second)
    assert first.first_s is not None
    assert first.ended_s is not None
    assert first.ended_s == pytest.approx(first.first_s + 99 * 0.01)
    assert second.first_s == pytest.approx(first.ended_s + 6.0 + 12 * 0.01)


def test_no_more_run_at_once_than_the_engine_takes() -> None:
    engine = Engine(replace(WRITES, max_num_seqs=1))
    first, second = job("a", 100, 11), job("b", 100)
    run(engine, first, second)
    assert first.ended_s == pytest.approx(0.11 + 10 * 0.01)
    assert second.first_s == pytest.approx(first.ended_s + 0.11)


def test_requests_are_read_in_the_order_in_which_they_came() -> None:
    first, second, third = job("a", 2000), job("b", 100, at=0.1), job("c", 50, at=0.2)
    run(Engine(PLAIN), third, second, first)
    assert [first.first_s, second.first_s, third.first_s] == pytest.approx([2.0, 2.15, 2.15])


def test_an_engine_that_is_slow_takes_times_as_long() -> None:
    one = job("a", 1000, 11)
    run(Engine(replace(WRITES, slow=3.0)), one)
    assert one.first_s == pytest.approx(3 * 1.02)
    assert one.ended_s == pytest.approx(3 * 1.12)


def test_an_engine_that_stalls_ends_nothing_before() -> None:
    engine, one = Engine(PLAIN), job("a", 300)
    engine.submit(one, 0.0)
    engine.stall(100.0)
    run(engine)
    assert one.first_s == pytest.approx(100.0)


def test_whoever_leaves_is_not_waited_for() -> None:
    engine = Engine(WRITES)
    leaves, stays = job("a", 100, 1000), job("b", 9000, at=1.0)
    engine.submit(leaves, 0.0)
    while leaves.first_s is None:
        engine.step()
    engine.submit(stays, 1.0)
    engine.cancel(leaves)
    engine.step()
    assert leaves.ended_s is not None
    run(engine)
    assert engine.kv_usage == 0


def test_an_engine_that_died_knows_nothing() -> None:
    engine = Engine(PLAIN)
    run(engine, job("a", 1000))
    engine.reset()
    again = job("a", 1000, at=5.0)
    run(engine, again)
    assert again.hit == 0
    assert again.first_s == pytest.approx(6.0)


BOX = replace(WRITES, models_in_memory=1, load_s={"x": 10.0, "y": 20.0})


def test_a_model_is_loaded_once_and_stays() -> None:
    engine = Engine(BOX)
    first, second = job("a", 100, model="x"), job("b", 100, at=30.0, model="x")
    run(engine, first, second)
    assert first.first_s == pytest.approx(10.11)
    assert second.first_s == pytest.approx(30.11)
    assert engine.loads == 1


def test_a_model_in_use_is_not_unloaded_and_those_behind_wait() -> None:
    engine = Engine(BOX)
    used = job("a", 100, 1001, model="x")
    other, behind = job("b", 100, at=11.0, model="y"), job("c", 100, at=12.0, model="x")
    run(engine, used, other, behind)
    assert used.ended_s == pytest.approx(10.11 + 10.0)
    assert other.first_s == pytest.approx(used.ended_s + 20.0 + 0.11)
    assert behind.first_s == pytest.approx(other.first_s + 10.0 + 0.11)
    assert engine.loads == 3


def test_a_model_that_left_memory_took_its_cache_along() -> None:
    engine = Engine(BOX)
    again = job("a", 1000, at=100.0, model="x")
    run(engine, job("a", 1000, model="x"), job("b", 100, at=50.0, model="y"), again)
    assert again.hit == 0
