"""The work of real engines as they tell it, and a real vLLM whose engine stands still."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import Server, fetch
from tests.gateway import gateway, until

CONFIG = """
backends: {{ it: {url} }}
health: {{ interval: 300ms, timeout: 5s, rise: 1, hung_after: 3s, slow_start: 0s }}
"""


@contextmanager
def always(ask: Callable[[], object], at_once: int = 1) -> Iterator[None]:
    """So many requests at any time, one after the other: a tiny model answers each in a second."""
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            ask()

    threads = [threading.Thread(target=go_on) for _ in range(at_once)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in threads:
            each.join(60)


def test_the_numbers_of_vllm(engine: str, vllm_chat: Server) -> None:
    with gateway(engine, CONFIG.format(url=vllm_chat.url)) as it:
        before = until(lambda: it.backend("it")["running"] is not None and it.backend("it"))
        assert before["kv_cache_use"] == 0
        answered: list[int] = []

        def ask() -> None:
            it.chat(vllm_chat.model, stream=True, max_tokens=900, ignore_eos=True)
            answered.append(900)

        with always(ask):
            until(lambda: it.backend("it")["running"] == 1)
            assert not read(Home(it.home).socket).load, "it is ours"
        after = until(lambda: it.backend("it")["running"] == 0 and it.backend("it"))
        assert after["generation_tokens"] - before["generation_tokens"] == sum(answered)
        assert after["prompt_tokens"] > before["prompt_tokens"]
        assert after["state"] == "up"


def test_what_others_ask_of_vllm_is_seen(engine: str, vllm_chat: Server) -> None:
    with gateway(engine, CONFIG.format(url=vllm_chat.url)) as it:
        body = {"model": vllm_chat.model, "prompt": "hi", "max_tokens": 950, "ignore_eos": True}
        url = vllm_chat.url + "/v1/completions"
        with always(lambda: httpx.post(url, json=body, timeout=60).raise_for_status(), 4):
            until(lambda: read(Home(it.home).socket).load.get("it", 0) >= 1)
        until(lambda: not read(Home(it.home).socket).load)


def test_the_slots_of_llama_cpp_are_read_only_while_it_is_in_use(
    engine: str, llama: Server
) -> None:
    with gateway(engine, CONFIG.format(url=llama.url)) as it:
        assert until(lambda: it.backend("it")["state"] == "up" and it.backend("it"))
        assert it.backend("it")["running"] is None
        with always(lambda: it.chat(llama.model, max_tokens=3900, ignore_eos=True)):
            until(lambda: it.backend("it")["running"] == 1)
        until(lambda: it.backend("it")["running"] is None)


def test_a_vllm_whose_engine_stands_still_is_out_and_comes_back(
    engine: str, vllm_chat: Server
) -> None:
    with gateway(engine, CONFIG.format(url=vllm_chat.url)) as it:
        until(lambda: it.backend("it")["running"] is not None)
        core = _engine_core(vllm_chat)
        with always(lambda: it.chat(vllm_chat.model, stream=True, max_tokens=950)):
            until(lambda: it.backend("it")["running"] == 1)
            os.kill(core, signal.SIGSTOP)
            try:
                until(lambda: it.backend("it")["state"] == "hung")
                assert fetch(vllm_chat.url + "/health") is None, "it says that it is well"
                assert read(Home(it.home).socket).conditions == {"it": "down"}
            finally:
                os.kill(core, signal.SIGCONT)
            until(lambda: it.backend("it")["state"] == "up")
        assert it.chat(vllm_chat.model, max_tokens=3).status_code == 200


def _engine_core(server: Server) -> int:
    """The process of vLLM that has the model; the API server is its parent."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and b"EngineCor" in (folder / "comm").read_bytes():
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == server.pid:
                return int(folder.name)
    pytest.fail("this vLLM has no engine core of its own")
