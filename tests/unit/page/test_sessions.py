"""How long a session lasts, and for whom."""

from __future__ import annotations

from infergate.page.sessions import IDLE_S, LONGEST_S, Sessions


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_that_is_not_used_is_over() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    secret, _ = sessions.begin("token", "10.0.0.1")
    clock.now += IDLE_S - 1
    assert sessions.find(secret, "10.0.0.1")
    clock.now += IDLE_S + 1
    assert sessions.find(secret, "10.0.0.1") is None


def test_a_page_that_is_only_open_keeps_no_session() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    secret, _ = sessions.begin("token", "10.0.0.1")
    for _ in range(10):
        clock.now += IDLE_S / 9
        sessions.find(secret, "10.0.0.1", used=False)
    assert sessions.find(secret, "10.0.0.1") is None


def test_no_session_lasts_longer_than_a_working_day() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    secret, _ = sessions.begin("token", "10.0.0.1")
    used = 0
    while sessions.find(secret, "10.0.0.1") and used < 1000:
        clock.now += IDLE_S / 2
        used += 1
    assert used * IDLE_S / 2 <= LONGEST_S + IDLE_S


def test_many_logins_keep_no_more_than_there_is_room_for() -> None:
    sessions = Sessions(Clock())
    first, _ = sessions.begin("token", "10.0.0.1")
    later = [sessions.begin("token", "10.0.0.1")[0] for _ in range(500)]
    assert sessions.find(first, "10.0.0.1") is None
    assert all(sessions.find(each, "10.0.0.1") for each in later)


def test_an_address_of_ipv6_may_change_within_its_network() -> None:
    sessions = Sessions(Clock())
    secret, _ = sessions.begin("token", "2001:db8:1:2::1")
    assert sessions.find(secret, "2001:db8:1:2:ffff::9")
    assert sessions.find(secret, "2001:db8:1:3::1") is None
