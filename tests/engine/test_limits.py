"""How much a key, a model or everybody may ask for, and what clients are told about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from infergate.live.shared_memory import push
from infergate.paths import Home
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  gone: {{ url: "http://127.0.0.1:1", engine: vllm }}
models:
  m: [a]
  few: {{ backends: [a], upstream_name: m, limits: {{ requests_per_minute: 3 }} }}
  tried: {{ backends: [a], upstream_name: m, canary: {{ model: two, percent: 100 }} }}
  two: {{ backends: [a], upstream_name: m, limits: {{ requests_per_minute: 2 }} }}
  down:
    backends: [gone]
    limits: {{ tokens_per_minute: 1000 }}
    fallback: [narrow, wide]
  narrow: {{ backends: [a], upstream_name: m, limits: {{ requests_per_minute: 2 }} }}
  wide: {{ backends: [a], upstream_name: m, limits: {{ tokens_per_minute: 1000 }} }}
  qwen-1: {{ backends: [a], upstream_name: m }}
"""

Limited = tuple[Gateway, Scripted]


@pytest.fixture(scope="module")
def limited(engine: str) -> Iterator[Limited]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        yield stack.enter_context(gateway(engine, CONFIG.format(a=a.url))), a


def test_requests_above_the_rate_are_refused_with_the_time_to_wait(limited: Limited) -> None:
    it, _ = limited
    key = it.new_key("few", "--rpm", "3")
    answers = [it.chat(key=key) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    first, refused = answers[0].headers, answers[3]
    assert first["x-ratelimit-limit-requests"] == "3"
    assert [a.headers["x-ratelimit-remaining-requests"] for a in answers] == ["2", "1", "0", "0"]
    # Three a minute: the next one is due twenty seconds after the first.
    assert 15 <= int(refused.headers["retry-after"]) <= 20
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["type"] == "rate_limit_error"


def test_a_canary_counts_by_its_own_limits(limited: Limited) -> None:
    it, _ = limited
    answers = [it.chat("tried") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "this model" in answers[-1].json()["error"]["message"]
    assert it.chat("two").status_code == 429, "by whichever name"


def test_a_fallback_counts_by_its_own_limits_and_the_model_before_gets_its_tokens_back(
    limited: Limited,
) -> None:
    it, _ = limited
    answers = [it.chat("down", max_tokens=500) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    models = [answer.headers["x-infergate-model"] for answer in answers]
    assert models == ["narrow", "narrow", "wide"], "the next one, where one is over its limit"
    assert "narrow is over its limit" in it.log()[-1]["why"]
    # All that the answers used was counted for those that gave them: `down` has its tokens still.
    left = it.chat("wide", max_tokens=1).headers["x-ratelimit-remaining-tokens"]
    assert int(left) < 1000
    assert it.chat("down", max_tokens=900).status_code == 200


def seconds(text: str) -> float:
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])


@pytest.mark.parametrize("limit", ["--rpm", "--tpm", "--concurrency"])
def test_a_refusal_tells_what_is_left_without_the_request_that_was_refused(
    limited: Limited, limit: str
) -> None:
    """Of every limit that the key has, whichever of them refused."""
    it, a = limited
    limits = {"--rpm": "3", "--tpm": "100000", "--concurrency": "5"}
    limits |= {
        "--rpm": {"--rpm": "1"},
        "--tpm": {"--tpm": "50"},
        "--concurrency": {"--concurrency": "1"},
    }[limit]
    key = it.new_key("told", *(word for option in limits.items() for word in option))
    a.reset()
    a.behave(path_prefix="/v1/chat", hold=True)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(it.chat, key=key, max_tokens=30)
        until(lambda: a.requests("/v1/chat"))
        refused = it.chat(key=key, max_tokens=30)
        a.behave()
    assert (first.result().status_code, refused.status_code) == (200, 429)
    for what, most in (("requests", int(limits["--rpm"])), ("tokens", int(limits["--tpm"]))):
        assert refused.headers[f"x-ratelimit-limit-{what}"] == str(most)
        assert int(refused.headers[f"x-ratelimit-remaining-{what}"]) <= most
        assert 0 <= seconds(refused.headers[f"x-ratelimit-reset-{what}"]) <= 60
    if limit == "--concurrency":
        assert refused.headers["x-ratelimit-remaining-requests"] in ("2", "3")


def test_a_rate_drains_evenly_and_has_no_window_whose_edge_lets_twice_as_much_through(
    limited: Limited,
) -> None:
    it, _ = limited
    key = it.new_key("even", "--rpm", "12")
    began = time.monotonic()
    good = sum(it.chat(key=key).status_code == 200 for _ in range(40))
    # A minute's worth at once, then one every five seconds.
    assert 12 <= good <= 13 + (time.monotonic() - began) // 5


def test_the_limit_of_a_model_holds_for_all_keys_together(limited: Limited) -> None:
    it, _ = limited
    keys = [it.new_key("one"), it.new_key("two")]
    statuses = [it.chat("few", key=keys[n % 2]).status_code for n in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert it.chat("m", key=keys[0]).status_code == 200


def test_tokens_are_set_aside_and_corrected_by_what_was_used(limited: Limited) -> None:
    it, _ = limited
    key = it.new_key("tokens", "--tpm", "1000")
    first = it.chat(key=key, max_tokens=900)  # the double uses 12
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 100

    def left() -> int:
        return int(it.chat(key=key, max_tokens=1).headers["x-ratelimit-remaining-tokens"])

    until(lambda: left() > 800, 20)  # 333 come back in that time by themselves
    refused = it.chat(key=key, max_tokens=990)
    assert refused.status_code == 429
    assert "tokens per minute" in refused.json()["error"]["message"]


def test_requests_at_the_same_time_are_limited_and_free_again_after(limited: Limited) -> None:
    it, a = limited
    key = it.new_key("two-at-once", "--concurrency", "2")
    a.behave(path_prefix="/v1/chat", delay_s=1)
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda _: it.chat(key=key).status_code, range(4)))
    a.reset()
    assert statuses == [200, 200, 429, 429]
    assert [it.chat(key=key).status_code for _ in range(3)] == [200] * 3


def test_a_client_that_leaves_frees_its_place(limited: Limited) -> None:
    it, a = limited
    key = it.new_key("leaver", "--concurrency", "1")
    a.behave(path_prefix="/v1/chat", chunk_delay_s=0.1, chunks=1000)
    body = {"model": "m", "stream": True}
    url = it.url + "/v1/chat/completions"
    with httpx.stream("POST", url, headers=it.headers(key), json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert it.chat(key=key).status_code == 429
    a.reset()
    until(lambda: it.chat(key=key).status_code == 200, 5)


@pytest.mark.parametrize(
    ("options", "body", "status", "code"),
    [
        (("--max-tokens", "50"), {"max_tokens": 51}, 400, "max_tokens_too_large"),
        (("--max-prompt-bytes", "100"), {"user": "x" * 200}, 413, "prompt_too_large"),
        (("--models", "other"), {}, 404, "model_not_found"),
        (("--ip", "10.0.0.0/8,::2/128"), {}, 401, "address_not_allowed"),
    ],
)
def test_what_a_key_may_not_is_refused_by_its_name(
    limited: Limited, options: tuple[str, ...], body: dict[str, Any], status: int, code: str
) -> None:
    it, a = limited
    a.reset()
    answer = it.chat(key=it.new_key("strict", *options), **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert a.requests() == []


@pytest.mark.parametrize(
    ("options", "model", "status"),
    [
        (("--models", "qwen-*"), "qwen-1", 200),
        (("--models", "qwen-*"), "m", 404),
        (("--models", "*-1"), "qwen-1", 200),
        (("--models", "q*n-*1"), "qwen-1", 200),
        (("--models", "q*x*"), "qwen-1", 404),
        (("--ip", "127.0.0.0/8"), "m", 200),
        (("--ip", "10.1.0.0/16,127.0.0.1/32"), "m", 200),
        (("--ip", "127.0.0.2/31"), "m", 401),
    ],
)
def test_patterns_and_networks(
    limited: Limited, options: tuple[str, ...], model: str, status: int
) -> None:
    it, _ = limited
    assert it.chat(model, key=it.new_key("pattern", *options)).status_code == status


def test_a_budget_that_is_used_up_says_when_it_is_filled_again(limited: Limited) -> None:
    it, _ = limited
    digest = "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92"  # of 123456

    def answer(filled_in_s: int) -> httpx.Response:
        until_ = int(time.time()) + filled_in_s
        policy = f"b\npoor\n\n\t*\t\n0,0,0,0,0,1,1\n\ndaily token\t{until_}"
        push(Home(it.home).socket, {"keys": {"set": {digest: policy}}})
        return it.chat(key="123456")

    # Again where the control plane has just pushed the keys that there really are.
    refused = until(lambda: (got := answer(100)).status_code == 429 and got)
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert "daily token" in refused.json()["error"]["message"]
    assert 90 <= int(refused.headers["retry-after"]) <= 100
    until(lambda: answer(-1).status_code == 200)


def test_a_refused_request_takes_nothing(limited: Limited) -> None:
    it, _ = limited
    key = it.new_key("mixed", "--rpm", "100", "--tpm", "1000", "--concurrency", "5")
    for _ in range(20):
        assert it.chat(key=key, max_tokens=2000).status_code in (200, 429)
    until(lambda: it.chat(key=key, max_tokens=1).status_code == 200, 5)
    assert all(each["in_flight"] == 0 for each in it.status()["backends"])


def test_a_wrong_limit_on_the_command_line_is_named(limited: Limited) -> None:
    it, _ = limited
    ran = it.run("keys", "create", "x", "--rpm", "0", check=False)
    assert ran.returncode == 2
    assert "--rpm" in ran.stderr
    ran = it.run("keys", "create", "x", "--priority", "urgent", check=False)
    assert ran.returncode == 2
    assert "--priority" in ran.stderr


def test_limits_in_the_file_hold_for_keys_declared_there(
    engine: str, start: Callable[..., Any]
) -> None:
    a = start(scripted, name="a")
    it = start(
        gateway,
        engine,
        f"""
backends: {{ a: {{ url: {a.url}, engine: vllm }} }}
models: {{ m: [a] }}
limits: {{ concurrent: 1 }}
auth:
  keys:
    ci:
      hash: sha256:8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92
      limits: {{ requests_per_minute: 2 }}
""",
    )
    assert [it.chat(key="123456").status_code for _ in range(3)] == [200, 200, 429]
    a.behave(path_prefix="/v1/chat", delay_s=1)
    with ThreadPoolExecutor(3) as pool:
        statuses = sorted(pool.map(lambda _: it.chat().status_code, range(3)))
    assert statuses == [200, 429, 429]
