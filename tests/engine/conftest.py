"""Every test of this folder that takes `engine` runs on each nginx that Infergate supports.

`make test` runs on the embedded one all that takes no more than two seconds of CPU. `make e2e` runs
all on Debian's, the long ones that requests meet (REQUESTS) on the embedded one, too, and what the
program of nginx itself does (NGINX) on that of Debian's next release. `make soak` runs the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from infergate.engine.find import find_debian
from tests.backends.servers import Scripted, free_port, scripted
from tests.cache import ENGINES_HOME, SUITE, TRIXIE
from tests.engine.one_of_each import Stack, one_of_each
from tests.gateway import Gateway, gateway, until
from tests.guardrails import Running as Guarded
from tests.guardrails import guarded as guarded_gateway

ENGINES = ["embedded", "debian"] if SUITE == TRIXIE else ["debian"]


REQUESTS = frozenset(
    """access api_tier breaker callers clients correct_streams edge fallback firewall first_token
    forms grpc guessing hedging hostile_backends kept_answers limits long_connections mutual_tls
    paths queue routing same_verdict services streaming timeouts tls token_limits transport
    validation""".split()
)
"""The modules that another nginx and njs could answer otherwise."""

NGINX = frozenset(
    """correct_streams edge first_token grpc hostile_backends kept_answers long_connections
    mutual_tls queue routing services streaming tls transport""".split()
)
"""Those of them that show nginx's own work more than ours: how it reads, relays, cuts and encrypts.
The next release's lies between the two that run everything."""

collect_ignore = (
    []
    if SUITE == TRIXIE
    else [
        path.name
        for path in Path(__file__).parent.glob("test_*.py")
        if path.stem.removeprefix("test_") not in REQUESTS
    ]
)
"""Of the next release's nginx no more is asked; every process of a run loads what it collects."""

LONG = frozenset(
    """api_batches backup custom_endpoints engine_upgrade first_requests full_disk full_zones groups
    hardening mutual_tls survival true_health validate""".split()
)
"""Those of which nearly every test starts gateways, or other processes, of its own: long as a
whole."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ids = {item.nodeid for item in items}
    for item in items:
        module = item.path.stem.removeprefix("test_")
        if module in NGINX:
            item.add_marker(pytest.mark.nginx)
        if module in LONG:
            item.add_marker(pytest.mark.long)
        spec = getattr(item, "callspec", None)
        engine = spec.params.get("engine") if spec is not None else None
        if engine == "debian":
            item.add_marker(pytest.mark.debian)
        if module in REQUESTS:
            item.add_marker(pytest.mark.requests)
        elif engine == "embedded" and item.nodeid.replace("embedded", "debian") in ids:
            item.add_marker(pytest.mark.twice)


@pytest.fixture(scope="session", autouse=True)
def forks() -> None:
    """For this folder: what takes a second to load is loaded once (tests/forked.py)."""
    Gateway.forks = True


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "debian" and not find_debian(ENGINES_HOME):
        pytest.skip("Debian's engine is not installed; `make test` brings it where apt is")
    return str(request.param)


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    """Starts backends and gateways that end with the test: start(scripted, name="a")."""
    with ExitStack() as stack:
        yield lambda what, *arguments, **options: stack.enter_context(what(*arguments, **options))


@pytest.fixture(scope="module")
def every_kind(engine: str) -> Iterator[Stack]:
    with one_of_each(engine) as found:
        yield found


@pytest.fixture
def stack(every_kind: Stack) -> Stack:
    """A gateway with a backend of each kind of engine; nothing was asked of them yet."""
    for each in every_kind.backends.values():
        each.reset()
    return every_kind


PAIR = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
models: {{ m: [a, b] }}
health: {{ interval: 300ms, timeout: 300ms, rise: 2, fall: 2, slow_start: 0s }}
"""
"""One model `m` on two backends, a and b, probed every 300 ms."""

Pair = tuple[Gateway, Scripted, Scripted]


@pytest.fixture
def fresh_pair(engine: str, start: Callable[..., Any]) -> Pair:
    """A gateway and its two backends for one test, which may kill what it likes."""
    a, b = start(scripted, name="a"), start(scripted, name="b")
    return start(gateway, engine, PAIR.format(a=a.url, b=b.url)), a, b


@pytest.fixture(scope="module")
def module_pair(engine: str) -> Iterator[Pair]:
    """One for all tests of a module: one that idles takes a twentieth of a core with its probes."""
    with two_of(engine, PAIR) as found:
        yield found


@pytest.fixture
def pair(module_pair: Pair) -> Iterator[Pair]:
    """The same for all tests that leave the gateway alive; put right after each."""
    it, a, b = module_pair
    if None in it.status()["processes"].values():  # a test failed before it was whole again
        it.run("down", "--now", check=False)
        it.run("up", "--detach")
    before = it.file.read_text()
    for backend in (a, b):
        if backend.is_alive:
            backend.reset()
        else:
            backend.start()
            until(lambda: {each["state"] for each in it.status()["backends"]} == {"up"})
    yield module_pair
    if it.file.read_text() != before:
        it.file.write_text(before)
        it.run("reload")
    it.forget_failures()
    for name in ("a", "b"):
        it.run("backend", "undrain", name)


@pytest.fixture(scope="module")
def running(engine: str, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A gateway of the module's own CONFIG, and the backends that it names: {a}, and {b} or {o}."""
    config: str = request.module.CONFIG
    with (vllm_and_ollama if "{o}" in config else two_of)(engine, config) as found:
        yield found


@pytest.fixture
def own(running: Pair) -> Pair:
    """The same as if nothing had happened to its backends."""
    return as_new(running)


@pytest.fixture(scope="module")
def guarded_anew(engine: str) -> Iterator[Guarded]:
    """A gateway with guardrails, started once for a module."""
    with guarded_gateway(engine) as it:
        yield it


@pytest.fixture
def guarded(guarded_anew: Guarded) -> Guarded:
    """The same as if nothing had happened to its backends."""
    it, *backends = guarded_anew
    for each in backends:
        each.reset()
    it.forget_failures()
    return guarded_anew


@contextmanager
def two_of(engine: str, config: str) -> Iterator[Pair]:
    """A gateway before two scripted backends, whose addresses are config's {a} and {b}.

    {dead}: a port where nobody listens."""
    with ExitStack() as stack:
        a, b = (stack.enter_context(scripted(name=name)) for name in "ab")
        text = config.format(a=a.url, b=b.url, dead=free_port())
        yield stack.enter_context(gateway(engine, text)), a, b


@contextmanager
def vllm_and_ollama(engine: str, config: str) -> Iterator[Pair]:
    """A gateway before a vLLM `a` and an Ollama `o`, which has the model `l`; both scripted."""
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a"))
        o = stack.enter_context(scripted("ollama", name="o", models=["l"]))
        yield stack.enter_context(gateway(engine, config.format(a=a.url, o=o.url))), a, o


def as_new(running: Pair) -> Pair:
    """The same, as if nothing had happened to its backends."""
    it, *backends = running
    for each in backends:
        each.reset()
    it.forget_failures()
    return running
