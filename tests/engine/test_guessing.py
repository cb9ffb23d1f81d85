"""Who guesses and scans is slowed down like everybody: what is refused counts for its client."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.backends.web_service import WebService, web_service
from tests.engine.test_services import BCRYPT
from tests.gateway import Gateway, gateway, until
from tests.wire import raw, status_of

BURST = 3
"""Let through at once; the rate is so slow that a test sees nothing of it."""


@dataclass
class Stack:
    it: Gateway
    web: WebService
    numbers: Iterator[int]

    def stranger(self) -> str:
        """An address that asked for nothing yet."""
        return f"198.51.100.{next(self.numbers)}"

    def ask(self, client: str, host: str = "api.test", path: str = "/x", *lines: str) -> int:
        """The status for a client, as the proxy before us tells its address."""
        head = [f"GET {path} HTTP/1.1", f"Host: {host}", f"X-Forwarded-For: {client}", *lines]
        return status_of(raw(self.it.port, "\r\n".join([*head, "Connection: close", "", ""])))


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with (
        web_service() as web,
        gateway(engine, "backends: { a: http://x }", start=False) as it,
    ):
        it.write(f"""
listen: {{ http: 127.0.0.1:{it.port}, hosts: [api.test] }}
backends: {{ a: http://127.0.0.1:9 }}
access: {{ trusted_proxies: [127.0.0.1], deny: [203.0.113.0/24] }}
limits: {{ per_ip: {{ rate: 1r/m, burst: {BURST} }} }}
services:
  keyed: {{ url: {web.url}, path: /keyed/ }}
  apart: {{ url: {web.url}, path: /apart/, per_ip: {{ rate: 1r/m, burst: 1 }} }}
  host: {{ url: {web.url}, host: key.test, per_ip: {{ rate: 1r/m, burst: {BURST} }} }}
  login:
    url: {web.url}
    host: login.test
    auth: basic
    users: {{ alice: "{BCRYPT}" }}
    per_ip: {{ rate: 1r/m, burst: {BURST} }}
""")
        it.up()
        yield Stack(it, web, itertools.count(1))


WRONG = "Authorization: Bearer wrong"
GUESSES = {
    "no key": ("api.test", "/v1/models"),
    "a wrong key": ("api.test", "/v1/models", WRONG),
    "a wrong key for a model": ("api.test", "/v1/chat/completions", WRONG),
    "a wrong key for a management call": ("api.test", "/api/ps", WRONG),
    "an unknown path": ("api.test", "/.env"),
    "what only nginx goes to": ("api.test", "/.infergate/unreadable"),
    "a request that cannot be read": ("api.test", "/x", "Content-Length: x"),
    "an unknown host": ("nobody.test", "/"),
    "a service below a path": ("api.test", "/keyed/x", WRONG),
    "a service under a host": ("key.test", "/x", WRONG),
    "no password": ("login.test", "/x"),
    "a wrong password": ("login.test", "/x", "Authorization: Basic YWxpY2U6d3Jvbmc="),
}


@pytest.mark.parametrize("name", GUESSES)
def test_what_is_refused_counts_for_its_client(stack: Stack, name: str) -> None:
    client = stack.stranger()
    statuses = [stack.ask(client, *GUESSES[name]) for _ in range(BURST + 3)]
    assert 429 not in statuses[: BURST + 1], statuses
    assert statuses[BURST + 1 :] == [429, 429], statuses
    assert stack.ask(stack.stranger(), *GUESSES[name]) == statuses[0], "another client"


def test_from_a_network_that_is_denied_nobody_asks_for_ever(stack: Stack) -> None:
    statuses = [stack.ask("203.0.113.1", "api.test", "/v1/models") for _ in range(BURST + 2)]
    assert statuses == [403] * (BURST + 1) + [429]


def test_a_right_key_does_not_say_so_to_who_guessed_too_often(stack: Stack) -> None:
    client, right = stack.stranger(), f"Authorization: Bearer {stack.it.key}"
    for _ in range(BURST + 1):
        stack.ask(client, "api.test", "/v1/models", WRONG)
    assert stack.ask(client, "api.test", "/v1/models", right) == 429
    assert stack.ask(stack.stranger(), "api.test", "/v1/models", right) == 200


def test_guesses_at_a_service_with_its_own_limit_count_there_only(stack: Stack) -> None:
    client = stack.stranger()
    asked = [stack.ask(client, "api.test", "/apart/x", WRONG) for _ in range(3)]
    assert asked == [401, 401, 429]
    assert stack.ask(client, "api.test", "/nothing") == 404


def test_a_refusal_for_too_many_says_so_whatever_was_refused_before(stack: Stack) -> None:
    key = stack.it.new_key("other", "--services", "keyed")
    client, line = stack.stranger(), f"Authorization: Bearer {key}"
    statuses = [stack.ask(client, "key.test", "/x", line) for _ in range(BURST + 2)]
    assert statuses == [403] * (BURST + 1) + [429]

    def lines() -> list[tuple[int, str]]:
        of_client = (each for each in stack.it.log() if each["ip"] == client)
        return [(each["status"], each["error"]) for each in of_client]

    until(lambda: len(lines()) == len(statuses))
    assert (429, "invalid_request") in lines()


@pytest.mark.parametrize(
    ("one", "same", "another"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
        ("2001:db8::1", "2001:db8:0:0:a:b:c:d", "2001:db8:1::1"),
        ("192.0.2.10", "::ffff:192.0.2.10", "::ffff:192.0.2.11"),
    ],
)
def test_an_ipv6_client_is_its_network_and_an_ipv4_one_its_address(
    stack: Stack, one: str, same: str, another: str
) -> None:
    for _ in range(BURST + 1):
        assert stack.ask(one) == 404
    assert stack.ask(same) == 429
    assert stack.ask(another) == 404
