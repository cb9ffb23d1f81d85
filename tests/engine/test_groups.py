"""Backends that DNS or a file names come and go with it, and models with their backends."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import Scripted, scripted
from tests.dns_server import DnsServer, dns_server
from tests.gateway import Gateway, gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What the control plane does beside nginx: one engine tells as much as two."""

SERVICE = "_llm._tcp.test"
CONFIG = """
backends:
  pool:
    discover: {{ dns: "http://{service}", name_server: {server}, interval: 1s }}
    engine: openai
  listed: {{ discover: {{ file: listed.json }}, engine: vllm }}
models:
  m: [pool]
  "*": [pool, listed]
health: {{ interval: 300ms, timeout: 300ms, rise: 1, fall: 2, slow_start: 0s }}
"""


@dataclass
class Stack:
    it: Gateway
    dns: DnsServer
    a: Scripted
    b: Scripted
    c: Scripted

    def name(self, *servers: Scripted) -> None:
        """Let DNS name these."""
        self.dns.records[SERVICE, "SRV"] = [f"0 1 {each.port} box.test." for each in servers]

    def list(self, *servers: Scripted) -> None:
        """Let the file name these."""
        (self.it.folder / "listed.json").write_text(json.dumps([each.url for each in servers]))

    def said(self, command: str) -> str:
        return " ".join(self.it.run(command).stdout.split())

    def who(self, model: str, count: int = 6) -> Counter[str]:
        answers = [self.it.chat(model) for _ in range(count)]
        return Counter(
            each.json()["choices"][0]["message"]["content"]
            if each.status_code == 200
            else str(each.status_code)
            for each in answers
        )


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with (
        scripted("openai", models=("m", "same"), name="a") as a,
        scripted("openai", models=("m",), name="b") as b,
        scripted("vllm", models=("n", "same"), name="c") as c,
        dns_server({(SERVICE, "SRV"): [], ("box.test", "A"): ["127.0.0.1"]}) as dns,
    ):
        config = CONFIG.format(service=SERVICE, server=dns.address)
        with gateway(engine, config, start=False) as it:
            it.up()
            yield Stack(it, dns, a, b, c)


@pytest.mark.long
def test_groups_follow_dns_and_the_file_and_lose_no_stream(stack: Stack) -> None:
    assert stack.who("m", 1) == {"503": 1}, "the name has no records yet"
    assert read(Home(stack.it.home).socket).in_flight == {}
    assert "the name _llm._tcp.test has no SRV record; none is known yet" in stack.said("status")
    stack.name(stack.a)
    stack.list(stack.c)
    until(lambda: stack.who("m") == {"a": 6} and stack.who("n") == {"c": 6})
    stack.a.behave(path_prefix="/v1/chat", chunk_delay_s=0.5, chunks=10)
    got: list[str] = []
    stream = threading.Thread(target=lambda: got.append(stack.it.chat(stream=True).text))
    stream.start()
    until(lambda: stack.a.stats()["open"] == 1)
    stack.a.behave()
    stack.name(stack.a, stack.b)
    until(lambda: set(stack.who("m")) == {"a", "b"})
    stack.name(stack.b)
    until(lambda: stack.who("m") == {"b": 6})
    stream.join(15)
    assert got[0].endswith("data: [DONE]\n\n")
    stack.list()
    until(lambda: stack.who("n", 1) == {"404": 1})


def test_a_name_server_that_is_gone_and_half_a_file_take_nothing_away(stack: Stack) -> None:
    stack.name(stack.a)
    stack.list(stack.c)
    until(lambda: stack.who("m") == {"a": 6} and stack.who("n") == {"c": 6})
    stack.dns.records[SERVICE, "SRV"] = []
    (stack.it.folder / "listed.json").write_text('["http://127')
    until(lambda: all(group["problem"] for group in stack.it.status()["groups"].values()))
    assert stack.who("m") == {"a": 6}
    assert stack.who("n") == {"c": 6}
    said = stack.it.run("doctor").stdout
    assert "listed.json is neither JSON nor YAML; the 1 known before are kept." in said
    stack.dns.records["box.test", "A"] = ["127.0.0.1"]


@pytest.mark.long
def test_models_that_appear_are_served_and_those_that_vanish_are_not(stack: Stack) -> None:
    stack.name(stack.a, stack.b)
    stack.list(stack.c)
    until(lambda: set(stack.who("m")) == {"a", "b"} and stack.who("n") == {"c": 6})
    assert stack.who("late", 1) == {"404": 1}
    stack.c.set_models("n", "same", "late")
    until(lambda: stack.who("late", 1) == {"c": 1})
    stack.b.set_models("other")
    until(lambda: stack.who("m") == {"a": 6})
    missing = stack.it.status()["missing_models"]
    assert {each["model"] for each in missing} == {"m"}
    stack.b.set_models("m")
    until(lambda: set(stack.who("m")) == {"a", "b"})
    stack.c.set_models("n", "same")
    until(lambda: stack.who("late", 1) == {"404": 1})


def test_one_name_on_two_kinds_of_engine_is_told(stack: Stack) -> None:
    stack.name(stack.a)
    stack.list(stack.c)
    until(lambda: stack.it.status()["conflicts"])
    said = stack.said("status")
    assert "'same' is on " in said
    assert "(openai) and " in said
    assert "requests for it go to all of them" in stack.said("doctor")
