"""The backends of a group that DNS names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from infergate.config.backends import Discover
from infergate.health.group_dns import DnsAnswer, look_up
from infergate.health.group_names import GroupUnknown
from tests.dns_server import DnsServer, dns_server

HOST = "gpu.test"
SERVICE = "_vllm._tcp.gpu.test"


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with dns_server({}) as it:
        yield it


def ask(server: DnsServer, url: str) -> DnsAnswer:
    return asyncio.run(look_up("gpu", Discover(dns=url, name_server=server.address)))


def test_each_address_is_a_backend_for_as_long_as_the_ttl(server: DnsServer) -> None:
    server.records[HOST, "A"] = ["10.0.0.6", "10.0.0.5"]
    server.records[HOST, "AAAA"] = ["fd00::5"]
    server.ttl_s = 7
    answer = ask(server, f"http://{HOST}:8000/openai")
    assert [(each.name, each.url) for each in answer.backends] == [
        ("gpu-10.0.0.5", "http://10.0.0.5:8000/openai"),
        ("gpu-10.0.0.6", "http://10.0.0.6:8000/openai"),
    ]
    assert answer.ttl_s == 7


def test_a_name_with_addresses_of_ipv6_only_is_served(server: DnsServer) -> None:
    server.records[HOST, "AAAA"] = ["fd00::5"]
    assert [(each.name, each.url) for each in ask(server, f"http://{HOST}:8000").backends] == [
        ("gpu-fd00-5", "http://[fd00::5]:8000")
    ]


def test_srv_records_tell_ports_and_shares_and_those_of_later_priority_wait(
    server: DnsServer,
) -> None:
    server.records[SERVICE, "SRV"] = [
        "10 30 8000 one.test.",
        "10 60 8001 two.test.",
        "20 10 8002 spare.test.",
    ]
    server.records["one.test", "A"] = ["10.0.0.5"]
    server.records["two.test", "A"] = ["10.0.0.5"]
    server.records["spare.test", "A"] = ["10.0.0.9"]
    found = ask(server, f"http://{SERVICE}").backends
    assert [(each.name, each.url, each.weight) for each in found] == [
        ("gpu-10.0.0.5-8000", "http://10.0.0.5:8000", 1),
        ("gpu-10.0.0.5-8001", "http://10.0.0.5:8001", 2),
    ]


def test_srv_records_of_equal_weight_leave_it_to_the_group(server: DnsServer) -> None:
    server.records[SERVICE, "SRV"] = ["0 50 8000 one.test.", "0 50 8001 one.test."]
    server.records["one.test", "A"] = ["10.0.0.5"]
    assert {each.weight for each in ask(server, f"http://{SERVICE}").backends} == {None}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://nobody.test", "there is no name nobody.test in DNS"),
        ("http://_no._tcp.gpu.test", "the name _no._tcp.gpu.test has no SRV record"),
    ],
)
def test_a_name_without_records_is_told_in_plain_words(
    server: DnsServer, url: str, said: str
) -> None:
    server.records["_no._tcp.gpu.test", "TXT"] = ['"x"']
    with pytest.raises(GroupUnknown, match=said):
        ask(server, url)


def test_a_name_server_that_hangs_is_told(
    server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infergate.health.group_dns.TIMEOUT_S", 0.3)
    server.silent = True
    with pytest.raises(GroupUnknown, match="no name server answered"):
        ask(server, f"http://{HOST}:8000")
