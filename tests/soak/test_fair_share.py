"""Fair shares over half a minute; tests/engine/test_queue.py has the short version."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.backends.servers import scripted
from tests.gateway import gateway

CONFIG = """
backends: {{ a: {{ url: {url}, engine: vllm, max_in_flight: 4 }} }}
models: {{ m: [a] }}
queue: {{ ageing: 2s }}
"""
SECONDS = 30


def test_weights_1_and_3_share_25_to_75_and_low_priority_is_not_starved(engine: str) -> None:
    with scripted(name="a") as a, gateway(engine, CONFIG.format(url=a.url)) as it:
        keys = {
            "one": it.new_key("one", "--weight", "1"),
            "three": it.new_key("three", "--weight", "3"),
            "low": it.new_key("low", "--priority", "low"),
        }
        a.behave(path_prefix="/v1/chat", delay_s=0.05)
        done: Counter[str] = Counter()
        end = time.monotonic() + SECONDS

        def client(name: str) -> None:
            with httpx.Client(timeout=60) as http:
                while time.monotonic() < end:
                    answer = http.post(
                        it.url + "/v1/chat/completions",
                        headers=it.headers(keys[name]),
                        json={"model": "m"},
                    )
                    assert answer.status_code == 200
                    done[name] += time.monotonic() < end

        with ThreadPoolExecutor(25) as pool:
            tasks = [pool.submit(client, name) for name in ("one", "three") * 12 + ("low",)]
            for task in tasks:
                task.result()
        print(engine, dict(done))
        assert abs(done["one"] / (done["one"] + done["three"]) - 0.25) <= 0.05
        assert done["low"] >= 3
