"""What Prometheus is told of a gateway that runs: exact, and to whom it should be."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infergate.paths import Home
from tests.backends.servers import Scripted, free_port, scripted
from tests.gateway import Gateway, gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
  o: {{ url: {o}, engine: ollama }}
  c: {{ url: {a}, engine: vllm, max_in_flight: 1 }}
models:
  m: {{ backends: [a], price: {{ input: 1 }} }}
  n: [b]
  one: {{ backends: [c], upstream_name: m }}
health: {{ interval: 300ms, timeout: 2s, rise: 1, fall: 1 }}
metrics: {{ networks: [127.0.0.0/8], keys: 3 }}
admin: {{ listen: 127.0.0.1:{port} }}
"""

Seen = tuple[Gateway, Scripted, Scripted, str]
Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def seen(engine: str) -> Iterator[Seen]:
    port = free_port()
    with ExitStack() as stack:
        a, b = (stack.enter_context(scripted(name=name)) for name in "ab")
        o = stack.enter_context(scripted(name="o", engine="ollama", models=["big", "small"]))
        text = CONFIG.format(a=a.url, b=b.url, o=o.url, port=port)
        yield stack.enter_context(gateway(engine, text)), a, b, f"http://127.0.0.1:{port}"


def numbers(it: Gateway) -> Numbers:
    """What Prometheus would scrape at the gateway's own port."""
    answer = httpx.get(f"{it.url}/metrics", timeout=60)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def total(found: Numbers, name: str, **labels: str) -> float:
    wanted = frozenset(labels.items())
    return sum(value for (each, has), value in found.items() if each == name and wanted <= has)


def test_requests_are_counted_as_clients_saw_them(seen: Seen) -> None:
    it, *_ = seen
    before = numbers(it)
    statuses = [it.chat(each).status_code for each in ("m", "m", "n", "nobody-has-it")]
    assert statuses == [200, 200, 200, 404]

    def grown(name: str, **labels: str) -> float:
        now = numbers(it)
        return total(now, name, **labels) - total(before, name, **labels)

    until(lambda: grown("infergate_requests_total") == 4)
    model = "gen_ai_request_model"
    assert grown("infergate_requests_total", **{model: "m"}, backend="a", status="2xx") == 2
    assert grown("infergate_requests_total", error_type="model_not_found") == 1
    assert grown("gen_ai_server_request_duration_seconds_count", **{model: "n"}) == 1
    assert grown("infergate_attempts_total", backend="b", status="2xx") == 1
    assert grown("infergate_cost_total", **{model: "m"}) > 0
    assert grown("infergate_key_requests_total") == 4
    assert total(numbers(it), "infergate_backend_up") == 4
    assert total(numbers(it), "infergate_process_up") == 3


def test_streams_and_refusals_by_limits_are_counted(seen: Seen) -> None:
    it, *_ = seen
    before = numbers(it)
    assert it.chat("m", stream=True).status_code == 200
    assert it.chat("m").status_code == 200
    few = it.new_key("few", "--rpm", "1")
    assert [it.chat("m", key=few).status_code for _ in range(2)] == [200, 429]

    def grown(name: str, **labels: str) -> float:
        return total(numbers(it), name, **labels) - total(before, name, **labels)

    until(lambda: grown("infergate_requests_total") == 4)
    assert grown("gen_ai_server_time_to_first_token_seconds_count") == 1
    assert grown("infergate_time_to_first_byte_seconds_count") == 3
    assert grown("infergate_limit_refusals_total", limit="requests", owner="key") == 1
    (entry,) = (each for each in it.log() if each["error"] == "rate_limit_exceeded")
    assert "over 1 requests per minute of this API key" in it.run("explain", entry["id"]).stdout


def test_what_is_loaded_and_who_is_connected_is_told(seen: Seen) -> None:
    it, *_ = seen
    until(lambda: total(numbers(it), "infergate_backend_loaded_models", backend="o") == 1)
    assert total(numbers(it), "infergate_backend_models", backend="o") == 2
    with httpx.Client(base_url=it.url, timeout=60) as kept:
        kept.get("/healthz")
        assert total(numbers(it), "infergate_nginx_connections", state="open") >= 1


def test_who_waits_is_told_by_model(seen: Seen) -> None:
    it, a, *_ = seen
    a.behave(path_prefix="/v1/chat", hold=True)
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(it.chat, "one") for _ in range(2)]
        name = "infergate_model_queued_requests"
        until(lambda: total(numbers(it), name, gen_ai_request_model="one") == 1)
        assert total(numbers(it), "infergate_queued_requests") == 1
        a.reset()
        assert [each.result().status_code for each in sent] == [200, 200]
    until(lambda: total(numbers(it), name) == 0)


@pytest.mark.long
def test_only_who_may_is_told(seen: Seen) -> None:
    it, _, _, admin = seen
    assert httpx.get(f"{admin}/metrics", timeout=60).status_code == 401
    token = it.run("admin", "token", "create", "prometheus").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{admin}/metrics", headers=headers, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "infergate_process_up" in answer.text
    assert httpx.post(f"{it.url}/metrics", timeout=60).status_code == 405
    uds = httpx.HTTPTransport(uds=str(Home(it.home).metrics_socket))
    with httpx.Client(transport=uds, base_url="http://localhost", timeout=60) as worker:
        assert worker.get("/metrics").status_code == 200
        assert worker.get("/v1/keys").status_code == 404
        assert worker.post("/v1/keys", json={"name": "x"}).status_code == 404
    text = it.file.read_text()
    it.file.write_text(text.replace("127.0.0.0/8]", "192.0.2.0/24]"))
    it.run("reload")
    assert httpx.get(f"{it.url}/metrics", timeout=60).status_code == 403
    it.file.write_text(text)
    it.run("reload")


def word(url: str) -> tuple[int, str]:
    answer = httpx.get(f"{url}/readyz", timeout=60)
    return answer.status_code, answer.text


@pytest.mark.long
def test_ready_is_a_gateway_with_a_backend_for_each_model(seen: Seen) -> None:
    it, _, b, admin = seen
    for url in (it.url, admin):
        until(lambda url=url: word(url) == (200, "ready\n"))
    assert httpx.get(f"{admin}/healthz", timeout=60).text == "ok\n"
    assert it.run("ready").returncode == 0
    b.kill()
    for url in (it.url, admin):
        until(lambda url=url: word(url) == (503, "not ready\n"))
        assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
    token = it.run("admin", "token", "create", "probe").stdout.strip()
    told = httpx.get(f"{admin}/readyz", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert told.status_code == 503
    (n,) = [each for each in told.json()["models"] if not each["ready"]]
    assert (n["model"], n["backends"][0]["name"], n["backends"][0]["state"]) == ("n", "b", "down")
    ran = it.run("ready", check=False)
    assert ran.returncode == 1
    assert "n      not ready  b down" in ran.stdout
    b.start()
    until(lambda: word(it.url) == (200, "ready\n"))


@pytest.mark.long
def test_ready_is_a_gateway_with_a_backend_for_the_models_that_are_named(seen: Seen) -> None:
    it, _, b, admin = seen
    b.kill()
    until(lambda: word(it.url) == (503, "not ready\n"))
    text = it.file.read_text()
    it.file.write_text(text.replace("health: {", "health: { ready: [m],"))
    it.run("reload")
    for url in (it.url, admin):
        until(lambda url=url: word(url) == (200, "ready\n"))
    it.file.write_text(text.replace("health: {", "health: { ready: [m, gone],"))
    it.run("reload")
    for url in (it.url, admin):
        until(lambda url=url: word(url) == (503, "not ready\n"))
    it.file.write_text(text)
    it.run("reload")
    b.start()
    until(lambda: word(it.url) == (200, "ready\n"))
