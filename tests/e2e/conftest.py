"""The stack of source text 001 for real: two vLLM servers, llama.cpp and an embedding model, behind
the gateway, on each engine. A process of the run starts each backend once."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from infergate.engine.find import find_debian
from tests.backends.servers import Server, available, embedding_server, llama_server, scripted, vllm
from tests.cache import ENGINES_HOME
from tests.gateway import Gateway, gateway, until


class _ByServer(LoadFileScheduling):
    """A file goes to one process, and those that ask the real vLLM all to the same: it takes half a
    minute of CPU to start."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "vLLM" if _asks_vllm(self.config.rootpath / file) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByServer | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # it knows of numbers of tests only
    return _ByServer(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no process is left alone with it at the end: vLLM,
    conformance (80 s on each engine), then those with many tests."""
    tests = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[bool, bool, int, Path]:
        is_conformance = item.path.stem == "test_conformance"
        return not _asks_vllm(item.path), not is_conformance, -tests[item.path], item.path

    items.sort(key=place)


@functools.cache
def _asks_vllm(file: Path) -> bool:
    text = file.read_text()
    return any(fixture in text for fixture in ("vllm_chat", "vllm_embed", "texts_001"))


def _real(name: str) -> None:
    reason = available(name)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def vllm_chat() -> Iterator[Server]:
    _real("vllm")
    with vllm("chat", "tiny-qwen2") as server:
        yield server


@pytest.fixture(scope="session")
def vllm_embed() -> Iterator[Server]:
    _real("vllm")
    with vllm("embed", "tiny-embed") as server:
        yield server


@pytest.fixture(scope="session")
def llama() -> Iterator[Server]:
    _real("llamacpp")
    with llama_server() as server:
        yield server


@pytest.fixture(scope="session")
def minilm() -> Iterator[Server]:
    _real("embed")
    with embedding_server() as server:
        yield server


@pytest.fixture(scope="session")
def ollama_double() -> Iterator[Server]:
    """Ollama's documented API, scripted: the real server cannot be had from a package registry."""
    with scripted(engine="ollama", models=("llama3:latest",), name="ollama") as server:
        yield server


@dataclass
class Front:
    """A gateway and the base URL that OpenAI's clients are given."""

    gateway: Gateway

    @property
    def base_url(self) -> str:
        return self.gateway.url + "/v1"

    @property
    def key(self) -> str:
        return self.gateway.key


@pytest.fixture(scope="module", params=["embedded", "debian"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "debian" and not find_debian(ENGINES_HOME):
        pytest.skip("Debian's engine is not installed; `make test` brings it where apt is")
    return str(request.param)


@pytest.fixture(scope="module")
def texts_001(engine: str, vllm_chat: Server, vllm_embed: Server) -> Iterator[Front]:
    """One vLLM for chat and one for embeddings, the second under OpenAI's name for it."""
    with gateway(
        engine,
        f"""
backends:
  qwen: {{ url: {vllm_chat.url}, engine: vllm }}
  embedding: {{ url: {vllm_embed.url}, engine: vllm }}
models:
  qwen-1.5-7b-chat: {{ backends: [qwen], upstream_name: tiny-qwen2, aliases: [gpt-3.5-turbo] }}
  text-embedding-ada-002: {{ backends: [embedding], upstream_name: tiny-embed }}
""",
    ) as it:
        # A busy machine's first probes may take longer than `up` waits.
        until(lambda: all(each["models"] for each in it.status()["backends"]))
        yield Front(it)


@pytest.fixture(scope="module")
def discovered(
    engine: str, llama: Server, minilm: Server, ollama_double: Server
) -> Iterator[Front]:
    """llama.cpp, an embedding model and Ollama's double, with nothing said about their models."""
    with gateway(
        engine,
        f"""
backends:
  llama: {llama.url}
  minilm: {minilm.url}/v1
  ollama: {ollama_double.url}
""",
    ) as it:
        # A busy machine's first probes may take longer than `up` waits.
        until(lambda: all(each["models"] for each in it.status()["backends"]))
        yield Front(it)
