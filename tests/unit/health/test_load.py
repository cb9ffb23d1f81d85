"""What a backend is taken to have besides our requests."""

from __future__ import annotations

import pytest

from infergate.health.load import beside_ours, others, slow_start, strain
from infergate.kinds.work import Work


def test_others_are_what_is_not_ours_in_both_readings() -> None:
    assert others([(7, 2), (9, 2)]) == 5
    assert others([(7, 2), (2, 2)]) == 0
    assert others([(1, 3), (1, 3)]) == 0
    assert others([]) == 0


@pytest.mark.parametrize(("use", "expected"), [(0.5, 0), (0.8, 0), (0.9, 0.5), (1.0, 1)])
def test_a_full_kv_cache_makes_each_request_count_double(use: float, expected: float) -> None:
    assert strain(Work(kv_cache_use=use), slow=False) == pytest.approx(expected)
    # 3 of ours, 4 of others, and the one to be placed
    assert beside_ours(Work(kv_cache_use=use), 3, 4, slow=False) == pytest.approx(4 + 8 * expected)


def test_a_slow_backend_counts_double_whatever_the_reason() -> None:
    assert beside_ours(None, 3, 0, slow=True) == 4
    assert beside_ours(Work(kv_cache_use=0.85), 0, 0, slow=True) == 1


def test_slow_start_falls_evenly_from_what_the_peers_have_to_nothing() -> None:
    assert [slow_start(t, 30, 12) for t in (0, 7.5, 15, 30, 31)] == [12, 9, 6, 0, 0]
    assert slow_start(0, 30, 0) == 1
    assert slow_start(0, 0, 12) == 0
    assert slow_start(-1, 30, 12) == 12  # the machine's clock was set back
