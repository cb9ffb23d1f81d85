"""Which backend a request goes to, and that it goes there again when it should."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm, weight: 3 }}
  b: {{ url: {b}, engine: vllm }}
  c: {{ url: {c}, engine: vllm }}
  a2: {{ url: {a}, engine: vllm }}
  b2: {{ url: {b}, engine: vllm, max_in_flight: 4 }}
  one: {{ url: {b}, engine: vllm, max_in_flight: 1 }}
  spare: {{ url: {c}, engine: vllm, backup: true }}
  last: {{ url: {a}, engine: vllm, priority: 2 }}
models:
  turns: {{ backends: [a, b], upstream_name: m, balance: round_robin }}
  least: {{ backends: [a, b], upstream_name: m, balance: least_conn }}
  busy: {{ backends: [a, b], upstream_name: m }}
  three: {{ backends: [a2, b, c], upstream_name: m }}
  caps: {{ backends: [b2, c], upstream_name: m }}
  by-ip: {{ backends: [a, b, c], upstream_name: m, balance: ip_hash }}
  by-session: {{ backends: [b, c], upstream_name: m, balance: session }}
  by-prefix: {{ backends: [b, c], upstream_name: m, balance: prefix }}
  old: {{ backends: [a], upstream_name: m, canary: {{ model: new, percent: 30 }} }}
  new: {{ backends: [b], upstream_name: m }}
  spared: {{ backends: [last, b, spare], upstream_name: m }}
  spared-turns: {{ backends: [spare, b, last], upstream_name: m, balance: round_robin }}
  spared-prefix: {{ backends: [spare, b, last], upstream_name: m, balance: prefix }}
  spared-full: {{ backends: [spare, one], upstream_name: m, queue: {{ max_wait: 1m }} }}
"""

Three = tuple[Gateway, Scripted, Scripted, Scripted]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Three]:
    with ExitStack() as stack:
        a, b, c = (stack.enter_context(scripted(name=name)) for name in "abc")
        config = CONFIG.format(a=a.url, b=b.url, c=c.url)
        yield stack.enter_context(gateway(engine, config)), a, b, c


@pytest.fixture
def three(running: Three) -> Iterator[Three]:
    yield running
    it, *backends = running
    for backend in backends:
        backend.reset()
    it.forget_failures()
    for name in (*"abc", "one", "spare"):
        it.run("backend", "undrain", name)


def who(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_round_robin_is_smooth_and_as_weighted(three: Three) -> None:
    it, *_ = three
    order = "".join(who(it.chat("turns")) for _ in range(12))
    assert Counter(order) == {"a": 9, "b": 3}
    assert "bb" not in order
    assert "aaaa" not in order


def test_round_robin_goes_on_without_a_drained_one(three: Three) -> None:
    it, *_ = three
    it.run("backend", "drain", "a")
    assert {who(it.chat("turns")) for _ in range(6)} == {"b"}


def test_the_one_with_fewer_requests_for_its_weight_is_next(three: Three) -> None:
    it, a, b, _ = three
    for backend in (a, b):
        backend.behave(path_prefix="/v1/chat", delay_s=0.5)
    with ThreadPoolExecutor(8) as pool:
        answers = Counter(pool.map(lambda _: who(it.chat("least")), range(8)))
    assert answers == {"a": 6, "b": 2}


@pytest.mark.parametrize(
    ("model", "drained", "turns"),
    [
        ("busy", None, {"a": 9, "b": 3}),
        ("least", None, {"a": 9, "b": 3}),
        ("three", None, {"a": 4, "b": 4, "c": 4}),
        ("three", "a2", {"b": 6, "c": 6}),
        ("three", "c", {"a": 6, "b": 6}),
        ("caps", None, {"b": 6, "c": 6}),
        ("caps", "a", {"b": 6, "c": 6}),
    ],
)
def test_idle_equals_take_turns_as_their_weights_say(
    three: Three, model: str, drained: str | None, turns: dict[str, int]
) -> None:
    it, *_ = three
    if drained is not None:
        it.run("backend", "drain", drained)
    answers = Counter(who(it.chat(model)) for _ in range(12))
    it.run("backend", "undrain", drained or "a")
    assert answers == turns


def test_an_address_stays_with_its_backend(three: Three) -> None:
    it, *_ = three
    homes = [who(it.chat("by-ip")) for _ in range(6)]
    assert len(set(homes)) == 1
    it.run("backend", "drain", homes[0])
    others = {who(it.chat("by-ip")) for _ in range(4)}
    assert len(others) == 1
    assert others != {homes[0]}


def test_a_session_stays_with_its_backend(three: Three) -> None:
    it, *_ = three

    def ask(session: str) -> str:
        body = {"model": "by-session", "messages": [{"role": "user", "content": "hi"}]}
        headers = {"x-session-id": session}
        return who(it.post("/v1/chat/completions", body, headers=headers))

    homes = {f"s{n}": ask(f"s{n}") for n in range(20)}
    assert set(homes.values()) == {"b", "c"}
    assert all(ask(session) == home for session, home in homes.items())
    users = {f"u{n}": who(it.chat("by-session", user=f"u{n}")) for n in range(10)}
    assert all(who(it.chat("by-session", user=user)) == home for user, home in users.items())


@pytest.mark.parametrize("first_prompt_bytes", [200, 6000])
def test_conversations_return_to_their_box_and_share_the_boxes(
    three: Three, first_prompt_bytes: int
) -> None:
    it, *_ = three
    url, headers = it.url + "/v1/chat/completions", it.headers()

    def converse(number: int) -> list[str]:
        opening = f"{first_prompt_bytes}: conversation {number} ".ljust(first_prompt_bytes, "x")
        messages = [
            {"role": "system", "content": "Be brief. " * 30},
            {"role": "user", "content": opening},
        ]
        homes = []
        with httpx.Client(timeout=30) as http:
            for turn in range(8):
                body = {"model": "by-prefix", "messages": messages}
                homes.append(who(http.post(url, headers=headers, json=body)))
                messages += [
                    {"role": "assistant", "content": "Well. " * 100},
                    {"role": "user", "content": f'and "then" {turn}?\n' * 20},
                ]
        return homes

    with ThreadPoolExecutor(8) as pool:
        conversations = list(pool.map(converse, range(50)))
    returned = sum(turn == homes[0] for homes in conversations for turn in homes[1:])
    load = Counter(turn for homes in conversations for turn in homes)
    assert returned >= 0.95 * 50 * 7
    assert max(load.values()) <= 1.25 * 400 / 2


def test_an_overloaded_box_gives_its_conversation_away(three: Three) -> None:
    it, _, b, c = three
    home = who(it.chat("by-prefix", user="x"))
    for backend in (b, c):
        backend.behave(path_prefix="/v1/chat", delay_s=1.5)
    with ThreadPoolExecutor(24) as pool:
        answers = Counter(pool.map(lambda _: who(it.chat("by-prefix")), range(24)))
    assert answers[home] <= 16, "all of them are one conversation, and one box is not enough"
    assert answers[home] >= 9


@pytest.mark.long
def test_a_canary_gets_its_share_of_keys_and_each_key_stays(three: Three) -> None:
    it, *_ = three
    keys = [it.new_key(f"canary{n}") for n in range(40)]
    first = [who(it.chat("old", key=key)) for key in keys]
    assert first == [who(it.chat("old", key=key)) for key in keys]
    # Of 40 keys at 30 %: within four standard deviations.
    assert abs(first.count("b") - 12) <= 4 * math.sqrt(40 * 0.3 * 0.7)
    assert 0 < first.count("b") < 40


def test_a_key_that_may_not_use_the_canary_s_model_stays_with_the_one_it_asked_for(
    three: Three,
) -> None:
    it, *_ = three
    keys = [it.new_key(f"strict{n}", "--models", "old") for n in range(12)]
    assert {who(it.chat("old", key=key)) for key in keys} == {"a"}


@pytest.mark.long
def test_a_box_that_has_the_model_loaded_is_preferred(engine: str) -> None:
    with ExitStack() as stack:
        # The double says of its first model that it is in memory.
        warm = stack.enter_context(scripted("ollama", name="warm", models=["l", "k"]))
        cold = stack.enter_context(scripted("ollama", name="cold", models=["k", "l"]))
        it = stack.enter_context(
            gateway(
                engine,
                f"backends: {{ warm: {warm.url}, cold: {cold.url} }}\n"
                "models: { l: [cold, warm] }\n",
            )
        )
        answers = [it.post("/api/chat", {"model": "l", "stream": False}) for _ in range(5)]
        assert {answer.json()["message"]["content"] for answer in answers} == {"warm"}


SPARED = ("spared", "spared-turns", "spared-prefix")


@pytest.mark.parametrize("size", [2, 30_000])
@pytest.mark.parametrize("model", SPARED)
def test_a_backup_stands_in_for_a_request_that_every_other_failed(
    three: Three, model: str, size: int
) -> None:
    """At once, before any probe; and for nothing else. The next one only when that is out, too."""
    it, _, b, c = three
    body = {"model": model, "messages": [{"role": "user", "content": "x" * size}]}

    def order(times: int) -> str:
        it.forget_failures()
        return "".join(who(it.post("/v1/chat/completions", body)) for _ in range(times))

    assert order(5) == "bbbbb"
    b.behave(path_prefix="/v1/chat", status=503)
    assert order(1) == "c"
    c.behave(path_prefix="/v1/chat", status=503)
    assert order(1) == "a"


@pytest.mark.parametrize("model", SPARED)
def test_a_backup_stands_in_for_a_drained_backend(three: Three, model: str) -> None:
    it, *_ = three
    it.run("backend", "drain", "b")
    assert {who(it.chat(model)) for _ in range(4)} == {"c"}
    it.run("backend", "drain", "spare")
    assert {who(it.chat(model)) for _ in range(4)} == {"a"}
    request = it.chat(model).headers["x-infergate-request-id"]
    it.log()
    assert "priority 2" in it.run("explain", request).stdout


def test_a_backup_gets_nothing_because_another_is_full(three: Three) -> None:
    it, _, b, _ = three
    b.behave(path_prefix="/v1/chat", delay_s=0.3)
    with ThreadPoolExecutor(4) as pool:
        assert "".join(pool.map(lambda _: who(it.chat("spared-full")), range(4))) == "bbbb"
