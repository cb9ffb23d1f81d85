"""What is learned of engines from the answers they wrote, and what they cannot bring about."""

from __future__ import annotations

import random

import pytest

from infergate.control.learned import (
    FASTEST,
    LEAST_TRUST,
    SLOWEST,
    Learned,
    Lesson,
    answer_of,
)
from infergate.ledger.line import read_line
from infergate.ledger.weighed import WorkTerms, weighed
from tests import access_log

EVEN = dict.fromkeys("abc", 1.0)


def answer(
    backend: str = "a",
    *,
    counted: int = 10_000,
    uncached: float = 10_000,
    cached: int = 0,
    prompt: int = 10_000,
    first_ms: float | None = 1000.0,
    **more: float,
) -> Lesson:
    its = WorkTerms(0.0, uncached, 0.0, 0.0, 800_000.0, **more)
    return Lesson(backend, "m", counted, its, prompt, cached, first_ms)


def after(learned: Learned, *answers: Lesson, times: int = 60, now: float = 0.0) -> Learned:
    for _ in range(times):
        for each in answers:
            learned.saw(each, now)
    return learned


def test_an_engine_that_has_less_in_its_cache_than_the_index_says_is_trusted_less() -> None:
    learned = Learned()
    for _ in range(100):
        told = 10_000 - 8000 * learned.of("a").trust
        learned.saw(answer(uncached=told, cached=4000), 0.0)
    assert learned.of("a").trust == pytest.approx(0.5, abs=0.02)


def test_one_that_tells_no_cached_tokens_is_believed_to_be_silent_and_not_empty() -> None:
    """vLLM without --enable-prompt-tokens-details says nothing."""
    assert after(Learned(), answer(uncached=2000, cached=0)).of("a").trust == 1.0


def test_a_slow_engine_is_seen_beside_the_others_and_a_little_difference_is_none() -> None:
    learned = after(Learned(), answer("a", first_ms=3000), answer("b"), answer("c", first_ms=1300))
    assert learned.ratio("a", EVEN) == pytest.approx(1.3 / 3, abs=0.05)
    assert learned.ratio("b", EVEN) == learned.ratio("c", EVEN) == 1.0
    assert learned.ratio("a", {**EVEN, "a": 1 / 3}) == 1.0, "its weight said so already"


def test_alone_it_has_nobody_to_be_slow_beside() -> None:
    assert after(Learned(), answer("a", first_ms=9000)).ratio("a", EVEN) == 1.0


def test_a_stall_is_no_speed() -> None:
    learned = after(Learned(), answer("a"), answer("b"))
    after(learned, answer("a", first_ms=120_000), times=20)
    assert learned.ratio("a", EVEN) == 1.0


def test_tokens_are_counted_as_the_engine_counts_them() -> None:
    assert after(Learned(), answer(prompt=20_000), times=200).of("a").length == pytest.approx(
        2.0, abs=0.01
    )


def test_a_count_that_cannot_be_of_this_prompt_tells_nothing() -> None:
    absurd = [answer(prompt=prompt, uncached=2000, cached=5) for prompt in (7, 0, 10**9)]
    its = after(Learned(), *absurd).of("a")
    assert (its.length, its.trust) == (1.0, 1.0)


def test_what_was_learned_is_forgotten() -> None:
    learned = Learned()
    after(learned, answer(uncached=2000, cached=1, prompt=30_000), answer("b"), times=100)
    assert learned.of("a").trust < 0.3
    learned.saw(answer(first_ms=None, counted=100, uncached=100, prompt=0), 5 * 3600.0)
    assert learned.of("a").trust > 0.9
    assert learned.of("a").length < 1.1


@pytest.mark.parametrize("seed", range(20))
def test_no_answer_moves_it_beyond_its_bounds_and_nothing_of_a_hostile_one_reaches_another(
    seed: int,
) -> None:
    rng = random.Random(seed)
    learned = after(Learned(), answer("b"), answer("c"))
    for _ in range(500):
        learned.saw(
            Lesson(
                "a",
                f"m{rng.randrange(1000)}",
                rng.choice((0, 1, 600, 10**6)),
                WorkTerms(*(rng.choice((0.0, 1.0, 1e6)) for _ in range(4)), 1.0),
                rng.choice((0, 1, 10**9)),
                rng.choice((0, 1, 10**9)),
                rng.choice((None, 0.0, 1e-9, 1e12)),
            ),
            rng.choice((0.0, 1e9, -1e9)),
        )
    its = learned.of("a")
    assert LEAST_TRUST <= its.trust <= 1
    assert 0.25 <= its.length <= 4
    assert SLOWEST <= learned.ratio("a", EVEN) <= FASTEST
    assert len(its.speeds) <= 16
    assert (learned.of("b").trust, learned.ratio("b", EVEN)) == (1.0, 1.0)
    learned.keep(["b"])
    assert learned.of("a").speeds == {}


def test_a_line_of_the_log_is_an_answer_once_it_was_weighed_and_sent_once() -> None:
    why = "work 9000;b=9:0,9000,0,0,800000;a=5:40,1000,1,70,800000,4.3,0,1,0;first byte 90 s;"
    usage = "gen_ai.usage."
    tells = {"why": why, f"{usage}input_tokens": 9100, f"{usage}cache_read.input_tokens": 8000}
    line = read_line(access_log.line(**tells))
    assert line is not None
    found = answer_of(line)
    assert found is not None
    assert (found.backend, found.counted, found.prompt, found.cached) == ("a", 9000, 9100, 8000)
    assert found.terms == WorkTerms(40, 1000, 1, 70, 800_000, 4.3, 0, 1, 0)
    for other in ({"why": "least_busy;a=0;"}, {"backend": "c"}, {"status": 500}):
        line = read_line(access_log.line(**{**tells, **other}))
        assert line is not None
        assert answer_of(line) is None


@pytest.mark.parametrize(
    "why", ["work;a=1:;", "work 1;a=1:x", "work 1;a=1:1,2", "work 1;a=1:" + "1," * 9 + "1", "a=1:1"]
)
def test_terms_that_are_none_are_passed_over(why: str) -> None:
    found = weighed(why)
    assert found is None or found.terms == {}
