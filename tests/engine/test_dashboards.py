"""Each panel of the dashboards that Infergate ships has data, from a real Prometheus that scraped
real traffic; and what it shows is what the ledger counted."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from infergate.engine.find import find_debian
from infergate.metrics.shipped import dashboards
from tests.backends.servers import Scripted, free_port, scripted
from tests.cache import ENGINES_HOME
from tests.gateway import Gateway, gateway, until
from tests.prometheus import Prometheus, filled, prometheus

pytestmark = [
    pytest.mark.parametrize("engine", ["debian"], indirect=True, scope="module"),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="there is no Prometheus"),
]
"""On Debian's: the embedded one does not tell its connections."""

CONFIG = """
listen: {{ https: 127.0.0.1:{https} }}
tls: {{ self_signed: true }}
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
models:
  m: {{ backends: [a], price: {{ input: 1, output: 2 }}, fallback: [n] }}
  n: {{ backends: [b], upstream_name: m }}
  e: {{ backends: [b], upstream_name: m, cache: {{ }} }}
services: {{ web: {{ url: {a}, path: /web/, auth: none }} }}
metrics: {{ networks: [127.0.0.0/8], keys: 5 }}
health: {{ interval: 1s, timeout: 5s, fall: 100 }}
breaker: {{ failures: 1000, error_rate: 1 }}
"""
FIREWALL = "waf: { mode: detect }\n"
SQL = "1'%20UNION%20SELECT%20name,pass%20FROM%20users--%20"
MATCHED = "infergate_waf_matches_total"

Watched = tuple["Traffic", Prometheus]


class Traffic:
    """A gateway, and requests of every kind that a panel shows."""

    def __init__(self, it: Gateway, a: Scripted, port: int) -> None:
        self.it, self._a = it, a
        self._client = httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False, timeout=60)
        it.run("teams", "create", "research", "--budget", "1M-tokens/day")
        self._key = it.new_key("member", "--team", "research", "--budget", "1M-tokens/month")
        self._few = it.new_key("few", "--rpm", "1")
        self.sent = self.times = 0

    def _post(self, path: str, body: dict[str, Any], key: str | None = None) -> int:
        self.sent += 1
        headers = {"Authorization": f"Bearer {key or self._key}"}
        return self._client.post(path, json=body, headers=headers).status_code

    def close(self) -> None:
        self._client.close()

    def _leave(self, path: str, body: dict[str, Any]) -> None:
        self.sent += 1
        headers = {"Authorization": f"Bearer {self._key}"}
        with self._client.stream("POST", path, json=body, headers=headers) as answer:
            next(answer.iter_bytes())

    def some(self) -> None:
        """One of each."""
        chat = {"messages": [{"role": "user", "content": "hi"}]}
        path = "/v1/chat/completions"
        assert self._post(path, {"model": "m", **chat}) == 200
        assert self._post(path, {"model": "n", "stream": True, **chat}) == 200
        assert self._post(path, {"model": "nobody", **chat}) == 404
        assert self._post("/v1/embeddings", {"model": "e", "input": "x"}) == 200
        self._a.behave(status=503, path_prefix=path, times=1)
        assert self._post(path, {"model": "m", **chat}) in (200, 503), "or no retry is left"
        self._a.behave(chunks=1000, chunk_delay_s=0.05, path_prefix=path, times=1)
        self._leave(path, {"model": "m", "stream": True, **chat})
        for _ in range(2):
            self._post("/v1/embeddings", {"model": "e", "input": "x"}, self._few)
        for query in ("", f"?q={SQL}", "?q=%3Cscript%3Ealert(1)%3C/script%3E"):
            assert self._client.get(f"/web/x{query}").status_code == 404, "its own answer"
            self.sent += 1
        self.times += 1

    def ledger(self) -> dict[str, Any]:
        said = json.loads(self.it.run("usage", "--by", "model", "--format", "json").stdout)
        return {row["model"]: row for row in said["rows"]}


def has_firewall() -> bool:
    return any("modsecurity" in each.modules for each in find_debian(ENGINES_HOME))


@pytest.fixture(scope="module")
def watched(engine: str) -> Iterator[Watched]:
    https = free_port()
    with ExitStack() as stack:
        a, b = (stack.enter_context(scripted(name=name)) for name in "ab")
        text = CONFIG.format(a=a.url, b=b.url, https=https) + FIREWALL * has_firewall()
        it = stack.enter_context(gateway(engine, text))
        seen = stack.enter_context(prometheus(f"127.0.0.1:{https}", scheme="https"))
        traffic = Traffic(it, a, https)
        stack.callback(traffic.close)
        yield traffic, seen


def panels() -> Iterator[tuple[str, str]]:
    for name, text in dashboards():
        for panel in json.loads(text)["panels"]:
            for target in panel["targets"]:
                yield f"{name} {panel['title']}", target["expr"]


def test_each_panel_has_data(watched: Watched) -> None:
    traffic, seen = watched
    left = dict.fromkeys(each for each in panels() if MATCHED not in each[1] or has_firewall())
    assert len(left) > 50
    variables = {"model": ".*", "backend": ".*", "key": ".*"}

    def all_have() -> bool:
        traffic.some()  # a rate needs numbers that grow between two scrapes
        scraped = seen.one('max(timestamp(up{job="infergate"}))')
        until(lambda: seen.one('max(timestamp(up{job="infergate"}))') > scraped)
        for each in list(left):
            found = seen.ask(filled(each[1], variables))
            if any(one["value"][1] not in ("NaN", "+Inf") for one in found):
                del left[each]
        return not left

    try:
        until(all_have, 300)
    finally:
        print("without data:", *left, sep="\n")


def test_the_firewall_s_rules_are_counted_as_its_own_log_tells_them(watched: Watched) -> None:
    if not has_firewall():
        pytest.skip("Debian's engine has no ModSecurity here; `make test` brings it where apt is")
    traffic, seen = watched
    traffic.some()
    log = traffic.it.home / "logs" / "waf.log"

    def logged() -> Counter[tuple[str, str]]:
        found = [json.loads(each) for each in log.read_text().splitlines()] if log.exists() else []
        return Counter(
            (rule, str(each["attack"]).lower())
            for each in found
            for rule in {match["rule"] for match in each["rules"]}
        )

    def counted() -> Counter[tuple[str, str]]:
        return Counter(
            {
                (each["metric"]["rule"], each["metric"]["attack"]): int(each["value"][1])
                for each in seen.ask(f"sum by (rule, attack) ({MATCHED})")
            }
        )

    attacks = 2 * traffic.times
    until(lambda: len(log.read_text().splitlines() if log.exists() else []) >= attacks, 240)
    until(lambda: counted() == logged(), 120)
    of = logged()
    # libinjection's word on SQL and on scripts: one each, of each time.
    assert (of["942100", "true"], of["941100", "true"]) == (traffic.times, traffic.times)


def test_the_numbers_are_the_ledgers(watched: Watched) -> None:
    traffic, seen = watched
    traffic.some()
    models = ("m", "n", "e", "")

    def same() -> bool:
        rows = traffic.ledger()
        if sum(row["requests"] for row in rows.values()) != traffic.sent:
            return False  # the log is written late
        for model in models:
            at = f'{{gen_ai_request_model="{model}"}}'
            tokens = 'infergate_tokens_total{gen_ai_request_model="%s",gen_ai_token_type="%s"}'
            row = rows[model]
            requests = seen.one(f"sum(infergate_requests_total{at})")
            if not model:  # those to web services have no model either
                requests += seen.one("sum(infergate_service_requests_total)")
            if (
                requests != row["requests"]
                or seen.one(f"sum({tokens % (model, 'input')})") != row["prompt_tokens"]
                or seen.one(f"sum({tokens % (model, 'output')})") != row["completion_tokens"]
                or abs(seen.one(f"sum(infergate_cost_total{at})") - row["cost"]) > 1e-12
            ):
                return False
        return True

    until(same, 120)
    found = seen.ask('ALERTS{alertstate="firing"}')
    assert [each["metric"]["alertname"] for each in found] == []
