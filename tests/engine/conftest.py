"""Every test of this folder that takes `engine` runs on each nginx that Infergate supports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from infergate.nginx.engine_find import find_debian
from tests.backends.servers import Scripted, scripted
from tests.cache import ENGINES_HOME
from tests.gateway import Gateway, gateway


@pytest.fixture(scope="module", params=["embedded", "debian"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "debian" and not find_debian(ENGINES_HOME):
        pytest.skip("Debian's engine is not installed; `make test` brings it where apt is")
    return str(request.param)


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    """Starts backends and gateways that end with the test: start(scripted, name="a")."""
    with ExitStack() as stack:
        yield lambda what, *arguments, **options: stack.enter_context(what(*arguments, **options))


@pytest.fixture
def pair(engine: str, start: Callable[..., Any]) -> tuple[Gateway, Scripted, Scripted]:
    """A gateway with one model `m` on two backends, a and b, probed every 300 ms."""
    a, b = start(scripted, name="a"), start(scripted, name="b")
    it = start(
        gateway,
        engine,
        f"""
backends: {{ a: {{ url: {a.url}, engine: vllm }}, b: {{ url: {b.url}, engine: vllm }} }}
models: {{ m: [a, b] }}
health: {{ interval: 300ms, timeout: 300ms, rise: 2, fall: 2 }}
""",
    )
    a.reset()
    b.reset()
    return it, a, b
