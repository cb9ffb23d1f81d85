"""The machine's clock is set: nothing that lasts a minute lasts an hour."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from infergate.live.shared_memory import push, read
from infergate.paths import Home
from tests.backends.servers import Scripted, scripted
from tests.clock import Clock
from tests.gateway import Gateway, gateway, until

HOUR_S = 3600

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm, max_in_flight: 1 }}
  b: {{ url: {b}, engine: vllm }}
models: {{ m: [a], n: {{ backends: [b], upstream_name: m }} }}
breaker: {{ failures: 3, cooldown: 1s }}
queue: {{ max_wait: 30s }}
health: {{ interval: 500ms }}
"""

Running = tuple[Gateway, Scripted, Scripted]


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    with tempfile.TemporaryDirectory(prefix="ig-clock-") as folder:
        try:
            yield Clock(Path(folder))
        except FileNotFoundError:
            pytest.skip("needs a C compiler")


@pytest.fixture(scope="module")
def running(engine: str, clock: Clock) -> Iterator[Running]:
    with ExitStack() as stack:
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        a, b = (stack.enter_context(scripted(name=name)) for name in "ab")
        for name, value in clock.environ.items():
            monkeypatch.setenv(name, value)
        yield stack.enter_context(gateway(engine, CONFIG.format(a=a.url, b=b.url))), a, b


def set_back(it: Gateway, clock: Clock) -> None:
    """By an hour. The embedded nginx is linked so that no test can set its clock: there, what it
    keeps is what an earlier hour left, as after a step back."""
    if it.engine == "debian":
        clock.set(-HOUR_S)
        return
    home = Home(it.home)
    ahead_ms = (time.time() + HOUR_S) * 1000
    key = next(line["key"] for line in it.log() if line["key"].startswith("limited"))
    breaker = f'[3,{ahead_ms},3,3,{ahead_ms},1000,"/v1/chat/completions","m"]'
    push(home.socket, {"limits": {"set": {f"r k {key}": ahead_ms + 59_000}}})
    push(home.socket, {"breakers": {"set": {"b": breaker}}})
    push(home.socket, {"waiting": {"set": {"clock": ahead_ms}}})


def test_a_clock_that_is_set_forward_ends_no_wait_in_the_queue(
    running: Running, clock: Clock
) -> None:
    it, a, _ = running
    if it.engine != "debian":
        pytest.skip("no test can set the clock of the embedded nginx")
    a.behave(path_prefix="/v1/chat", delay_s=5)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(it.chat) for _ in range(3)]
        until(lambda: read(Home(it.home).socket).waiting == 2)
        a.reset()
        clock.set(HOUR_S)
        until(lambda: "the clock was set by" in (it.home / "logs" / "error.log").read_text())
        assert [each.result().status_code for each in answers] == [200] * 3


def test_a_clock_that_is_set_back_shuts_out_no_key_and_no_backend(
    running: Running, clock: Clock
) -> None:
    it, _, b = running
    key = it.new_key("limited", "--rpm", "60")
    while it.chat(key=key).status_code == 200:
        pass
    b.behave(path_prefix="/v1/chat", status=500)
    for _ in range(4):
        it.chat("n")
    assert read(Home(it.home).socket).breakers["b"], "it is open"
    b.reset()
    set_back(it, clock)
    until(lambda: it.chat(key=key).status_code == 200, 20)
    until(lambda: it.chat("n").status_code == 200, 20)
    until(lambda: not read(Home(it.home).socket).breakers)
