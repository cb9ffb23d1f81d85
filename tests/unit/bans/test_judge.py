"""How many offences are too many, and who is never banned."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from infergate.bans.judge import (
    Judge,
    ban_duration_s,
    network_of,
    protected_networks,
    protector_of,
)
from infergate.bans.offences import Offence
from infergate.config.bans import Bans
from infergate.config.load import parse_config

SETTINGS = Bans.model_validate(
    {"offences": {"wrong_key": 4, "scanner": 2, "rate": 0}, "within": "60s", "duration": "10m"}
)


def see(judge: Judge, kind: str, ts: float = 0, ip: str = "192.0.2.7") -> str | None:
    offender = judge.see(Offence(ts, ip, kind), SETTINGS, [ipaddress.ip_network("192.0.2.128/25")])
    return offender and offender.network


def test_the_last_one_too_many_is_a_ban_and_counting_starts_anew() -> None:
    judge = Judge()
    assert [see(judge, "wrong_key") for _ in range(5)] == [None] * 3 + ["192.0.2.7/32", None]


def test_kinds_add_up() -> None:
    judge = Judge()
    assert [see(judge, kind) for kind in ("wrong_key", "scanner", "wrong_key")][-1] is not None


def test_those_before_the_window_do_not_count() -> None:
    judge = Judge()
    assert [see(judge, "scanner", ts) for ts in (0, 61, 122, 130)][-2:] == [None, "192.0.2.7/32"]


def test_a_limit_of_zero_counts_nothing() -> None:
    judge = Judge()
    assert not any(see(judge, "rate") for _ in range(1000))


def test_each_address_is_counted_for_itself_and_ipv6_by_network() -> None:
    judge = Judge()
    assert not any(see(judge, "wrong_key", ip=f"192.0.2.{host}") for host in range(9))
    hosts = [see(judge, "scanner", ip=f"2001:db8::{host}") for host in (1, 2)]
    assert hosts == [None, "2001:db8::/64"]


@pytest.mark.parametrize("ip", ["192.0.2.200", "unix:", ""])
def test_who_is_protected_or_no_address_is_never_banned(ip: str) -> None:
    judge = Judge()
    assert not any(see(judge, "scanner", ip=ip) for _ in range(10))


def test_who_is_banned_already_is_not_counted() -> None:
    judge = Judge()
    offence = Offence(0, "192.0.2.7", "scanner")
    see(judge, "scanner")
    assert judge.see(offence, SETTINGS, [], {"192.0.2.7/32"}) is None
    assert see(judge, "scanner") is None, "nor is what it did before"


def test_the_past_is_forgotten() -> None:
    judge = Judge()
    see(judge, "scanner", 0, "192.0.2.1")
    see(judge, "scanner", 100, "192.0.2.2")
    judge.forget_before(50)
    assert see(judge, "scanner", 51, "192.0.2.1") is None
    assert see(judge, "scanner", 101, "192.0.2.2") == "192.0.2.2/32"


def test_bans_get_longer_up_to_the_longest() -> None:
    lasting = [ban_duration_s(SETTINGS, times) for times in (0, 1, 2, 50)]
    assert lasting == [600, 1200, 2400, SETTINGS.longest]


def test_loopback_allowed_and_named_networks_are_protected() -> None:
    text = """
backends: { a: http://x:1 }
access: { allow: [10.0.0.0/8] }
bans: { never: ["fd00::/8"] }
"""
    protected = protected_networks(parse_config(text, Path("infergate.yaml"), {}).config)
    for inside in ("127.0.0.1", "10.1.2.3", "::1", "fd00::1", "0.0.0.0/0"):
        assert protector_of(ipaddress.ip_network(inside), protected), inside
    for outside in ("192.0.2.1", "2001:db8::/64"):
        assert protector_of(ipaddress.ip_network(outside), protected) is None, outside


def test_a_mapped_address_is_an_ipv4_one() -> None:
    assert str(network_of("::ffff:192.0.2.7", 64)) == "192.0.2.7/32"
