"""A copy of the requests for a second backend: it sees them, and nobody sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.backends.servers import scripted
from tests.gateway import gateway, until


@pytest.mark.long
def test_the_shadow_gets_copies_and_never_slows_or_breaks_the_first(
    engine: str, start: Callable[..., Any]
) -> None:
    a, b = start(scripted, name="a"), start(scripted, name="b")
    it = start(
        gateway,
        engine,
        f"""
backends: {{ a: {{ url: {a.url}, engine: vllm }}, b: {{ url: {b.url}, engine: vllm }} }}
models:
  m: {{ backends: [a], upstream_name: real, shadow: {{ backend: b }} }}
  half: {{ backends: [a], upstream_name: m, shadow: {{ backend: b, percent: 50 }} }}
""",
    )
    for _ in range(4):
        assert it.chat().json()["choices"][0]["message"]["content"] == "a"
    until(lambda: len(b.requests()) == 4)
    copy = b.requests()[0]
    assert json.loads(copy["body"])["model"] == "real"
    assert it.key not in json.dumps(copy["headers"])

    for _ in range(20):
        it.chat("half")
    until(lambda: len(b.requests()) == 14)

    # What is too large to be copied is told.
    large = [{"role": "user", "content": "x" * 262_144}]
    assert it.chat("m", messages=large).status_code == 200
    assert it.status()["uncopied"] == {"m": {"large": 1}}
    assert "no copy of 1 request: 1 larger than 256 KiB" in it.run("status").stdout

    b.behave(path_prefix="/v1/chat", hang=True)
    for _ in range(100):
        assert it.chat("m").status_code == 200  # the client gives up long before the shadow answers
    assert len(a.requests()) == 125
    b.kill()
    assert it.chat().status_code == 200
