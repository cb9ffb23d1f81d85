"""Rise and fall are counted exactly, whatever the order of results."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergate.health.tracker import Track, Transition, observe


def run(results: str, rise: int = 2, fall: int = 3) -> tuple[Track, list[tuple[int, str, str]]]:
    """Feed good ("+") and failed ("-") results, one a second, and collect the transitions."""
    track, seen = Track(since=0.0), []
    for second, sign in enumerate(results, start=1):
        track, change = observe(track, sign == "+", sign, float(second), rise=rise, fall=fall)
        if change:
            seen.append((int(change.at), change.before, change.after))
    return track, seen


@pytest.mark.parametrize(("first", "state"), [("+", "up"), ("-", "down")])
def test_the_first_result_decides_at_once(first: str, state: str) -> None:
    track, seen = run(first)
    assert track.state == state
    assert seen == [(1, "unknown", state)]


def test_three_failures_in_a_row_take_it_down_and_not_two() -> None:
    assert run("+--")[0].state == "up"
    assert run("+---")[1][-1] == (4, "up", "down")


def test_two_good_probes_in_a_row_bring_it_back_and_not_one() -> None:
    assert run("-+")[0].state == "down"
    assert run("-++")[1][-1] == (3, "down", "up")


def test_one_good_probe_starts_the_count_of_failures_again() -> None:
    assert run("+--+--+--")[0].state == "up"


def test_a_flapping_backend_stays_where_it_was() -> None:
    assert run("+" + "-+" * 50)[1] == [(1, "unknown", "up")]
    assert run("-" + "+-" * 50)[1] == [(1, "unknown", "down")]


def test_since_is_when_the_state_changed_and_not_the_last_probe() -> None:
    assert run("+++++")[0].since == 1
    assert run("+---" + "-" * 10)[0].since == 4


def test_the_reason_is_the_latest_one_that_speaks_for_the_state() -> None:
    track, _ = observe(Track(since=0), False, "connection refused", 1, rise=2, fall=3)
    track, _ = observe(track, False, "loading its model", 2, rise=2, fall=3)
    assert track.reason == "loading its model"
    track, _ = observe(track, True, "HTTP 200 from /health", 3, rise=2, fall=3)
    assert (track.state, track.reason) == ("down", "loading its model")
    track, change = observe(track, True, "HTTP 200 from /health", 4, rise=2, fall=3)
    assert change == Transition("down", "up", "HTTP 200 from /health", 4)


def test_checks_and_failures_are_counted() -> None:
    track, _ = run("+-+--")
    assert (track.checks, track.failures) == (5, 3)


@given(st.text("+-", max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_the_state_changes_exactly_after_rise_or_fall_in_a_row(
    results: str, rise: int, fall: int
) -> None:
    state = ""
    for index, sign in enumerate(results, start=1):
        if not state:
            state = sign
        needed = rise if sign == "+" else fall
        in_a_row = len(results[:index]) - len(results[:index].rstrip(sign))
        if in_a_row >= needed:
            state = sign
    expected = {"": "unknown", "+": "up", "-": "down"}[state]
    assert run(results, rise, fall)[0].state == expected
