"""balance: work where all backends are full: whose slot a request in the queue gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm, max_in_flight: 1 }}
  b: {{ url: {b}, engine: vllm, max_in_flight: 1 }}
models:
  m: {{ backends: [a, b], balance: work, queue: {{ max_wait: 2m }} }}
"""

KB = 1024
Two = tuple[Gateway, Mapping[str, Scripted]]


@pytest.fixture
def two(engine: str) -> Iterator[Two]:
    with ExitStack() as stack:
        backends = {name: stack.enter_context(scripted(name=name)) for name in "ab"}
        urls = {name: each.url for name, each in backends.items()}
        yield stack.enter_context(gateway(engine, CONFIG.format(**urls))), backends


def ask(it: Gateway, content: str) -> str:
    """The name of the backend that answers."""
    said = {"model": "m", "messages": [{"role": "user", "content": content}]}
    answer = it.post("/v1/chat/completions", said, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def text(word: str, size: int) -> str:
    return f"{word} " * (size // (len(word) + 1))


def hold(backends: Mapping[str, Scripted]) -> None:
    for backend in backends.values():
        backend.behave(path_prefix="/v1/chat", hold=True)


def let_go(backends: Mapping[str, Scripted]) -> None:
    for backend in backends.values():
        backend.behave()


def until_asked(backends: Mapping[str, Scripted], times: int) -> None:
    until(lambda: sum(len(each.requests()) for each in backends.values()) == times)


def test_who_waits_gets_the_slot_of_the_backend_that_knows_its_prompt(two: Two) -> None:
    """Each backend answers one request at a time, and six wait: by their order alone, every other
    one would be sent to the backend that knows the other conversation."""
    it, backends = two
    first, second = text("first", 200 * KB), text("second", 200 * KB)
    hold(backends)
    with ThreadPoolExecutor(10) as pool:
        known = [pool.submit(ask, it, each) for each in (first, second)]
        until_asked(backends, 2)
        let_go(backends)
        mine, other = (each.result() for each in known)
        assert {mine, other} == {"a", "b"}
        hold(backends)
        full = [pool.submit(ask, it, f"x{number}") for number in range(2)]
        until_asked(backends, 4)
        asked = []
        for number, content in enumerate((first, first, second, second, first, second)):
            asked.append(pool.submit(ask, it, content + text(f"n{number}", KB)))
            until(lambda: read(Home(it.home).socket).waiting == len(asked))
        let_go(backends)
        assert {each.result() for each in full} == {"a", "b"}
        assert [each.result() for each in asked] == [mine, mine, other, other, mine, other]
