"""Engines that Infergate brings as services, one for each model, and the backends that they are."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema

from infergate.config.addresses import is_ip, listen_address
from infergate.config.backends import ServedBackend
from infergate.config.base import Section
from infergate.config.types import FilePath, ModelName, Name, Seconds

ServedEngine = Literal["vllm", "llamacpp", "tei", "infinity", "ray"]

ONE_GPU = frozenset({"tei", "infinity"})
"""Engines that run on one GPU at most."""

_WORD = re.compile(r"[^\x00-\x1f\x7f]{1,2000}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_VALUE = re.compile(
    r"[A-Za-z0-9._~+/=@:,%-](?:[A-Za-z0-9 ._~+/=@:,%-]{0,1998}[A-Za-z0-9._~+/=@:,%-])?"
)
_KEY = re.compile(r"[A-Za-z0-9._~+/=@:,-]{1,1000}")


def _address(value: Any) -> str:
    """As a listen address, but a bare port is for this machine, and nothing is for everybody."""
    host, _, port = listen_address(value).rpartition(":")
    if host == "*" and ":" not in str(value):
        return f"127.0.0.1:{port}"
    plain = ipaddress.ip_address("0.0.0.0" if host == "*" else host.strip("[]"))  # noqa: S104
    if plain.is_unspecified or plain.is_global:
        raise ValueError(
            f"an engine listens for the gateway alone: a port of this machine ({port}) or a "
            f"private address (10.0.0.5:{port}), and never everywhere"
        )
    return f"{host}:{port}"


def _node(value: str) -> str:
    if not is_ip(value) or ipaddress.ip_address(value).is_unspecified:
        raise ValueError(f"{value!r} is not the address of a node, such as 10.0.0.5")
    return value


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise ValueError("expected 1 to 2,000 characters and no control characters")
    return value


def _model(value: str) -> str:
    if not _WORD.fullmatch(value) or value.startswith("-") or value != value.strip():
        raise ValueError(
            f"{value!r} is not a model: a name of Hugging Face such as Qwen/Qwen2.5-7B-Instruct, "
            "a folder or a file"
        )
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of an environment variable")
    return value


def _value(value: SecretStr) -> SecretStr:
    if not _VALUE.fullmatch(value.get_secret_value()):
        raise ValueError(
            "a value for the environment here is letters, digits, spaces and ._~+/=@:,%- "
            "(each reader of such files understands others differently)"
        )
    return value


def _key(value: SecretStr) -> SecretStr:
    if not _KEY.fullmatch(value.get_secret_value()):
        raise ValueError("an engine's key is 1 to 1,000 letters, digits and ._~+/=@:,-")
    return value


EngineAddress = Annotated[
    str,
    BeforeValidator(_address),
    WithJsonSchema({"type": ["string", "integer"], "description": "a port or address:port"}),
]
Word = Annotated[str, AfterValidator(_word)]
NodeAddress = Annotated[str, AfterValidator(_node)]
ModelSource = Annotated[str, AfterValidator(_model)]
Variable = Annotated[str, AfterValidator(_variable)]
Value = Annotated[SecretStr, AfterValidator(_value)]
EngineKey = Annotated[SecretStr, AfterValidator(_key)]


class Served(Section):
    """One engine with one model, as a service; it is a backend of this name, too."""

    engine: ServedEngine = Field(description="What runs it; ray is vLLM over several machines.")
    model: ModelSource = Field(description="A name of Hugging Face, a folder, or a .gguf file.")
    name: ModelName | None = Field(
        None, description="What clients call the model; the name of this entry, when not given."
    )
    listen: EngineAddress = Field(
        description="A port of this machine, or address:port in a private network."
    )
    embedding: bool = Field(False, description="It gives vectors, not words.")
    gpus: list[Annotated[int, Field(ge=0, le=63)]] = Field(
        [], description="GPUs by their numbers (nvidia-smi's); none: it runs on the CPU."
    )
    tensor_parallel_size: int | None = Field(
        None, ge=1, le=64, description="GPUs that share each layer; what gpus leave, if not given."
    )
    pipeline_parallel_size: int = Field(
        1, ge=1, le=64, description="Groups of GPUs that have the layers one after another."
    )
    gpu_memory_utilization: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Share of each GPU's memory: vLLM takes so much, of others it is counted.",
    )
    max_model_len: int | None = Field(
        None, ge=1, le=100_000_000, description="Tokens of prompt and answer; the model's own."
    )
    args: list[Word] = Field([], description="Further arguments of the engine, as they are.")
    environment: dict[Variable, Value] = Field(
        {}, description="Its environment, kept as a secret: HF_TOKEN: ${HF_TOKEN}."
    )
    api_key: EngineKey | None = Field(
        None,
        description="Key between gateway and engine, as ${NAME}; `deploy serve` makes one up.",
    )
    after: list[Name] = Field([], description="Entries that are to be ready before it starts.")
    ready_within: Seconds = Field(
        600.0, ge=1, le=86400, description="How long it may load until it counts as failed."
    )
    max_in_flight: int | None = Field(
        None, ge=1, le=100_000, description="Requests at once it gets at most."
    )
    program: FilePath | None = Field(
        None, description="Its program on the machine: /opt/vllm/bin/vllm."
    )
    image: Word | None = Field(None, description="Its image, where containers run it.")
    nodes: list[NodeAddress] = Field(
        [], max_length=100, description="ray: addresses of the machines; each is a backend."
    )
    replicas: int = Field(1, ge=1, le=1000, description="ray: how many of it over all machines.")

    @property
    def host(self) -> str:
        """Its address, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def tensor(self) -> int:
        """GPUs that share each layer."""
        if self.tensor_parallel_size is not None:
            return self.tensor_parallel_size
        return max(1, len(self.gpus) // self.pipeline_parallel_size)


def served_as(name: str, served: Served) -> str:
    """What clients call its model."""
    return served.name or name


def backends_of(serve: Mapping[str, Served]) -> dict[str, dict[str, ServedBackend]]:
    """The backends that each entry is, by their names: one, or with ray one for each machine, which
    all its entries share."""
    on_ray = {name: served for name, served in serve.items() if served.engine == "ray"}
    models = [served_as(name, served) for name, served in on_ray.items()]
    backends: dict[str, dict[str, ServedBackend]] = {}
    for name, served in serve.items():
        if served.engine != "ray":
            url = f"http://{served.listen}"
            backends[name] = {name: _backend(served, url, [served_as(name, served)])}
            continue
        backends[name] = {}
        for node in served.nodes:
            host = f"[{node}]" if ":" in node else node
            at = f"ray-{node.replace(':', '-')}"
            backends[name][at] = _backend(served, f"http://{host}:{served.port}", models)
    return backends


def _backend(served: Served, url: str, models: list[str]) -> ServedBackend:
    return ServedBackend(
        url=url,
        engine=served.engine,
        models=models,
        api_key=served.api_key,
        max_in_flight=served.max_in_flight,
    )


def start_order(serve: Mapping[str, Served]) -> list[str]:
    """The names, each after those that its `after` names; else as they stand.

    Raises ValueError with the name of one that waits for itself.
    """
    ordered: list[str] = []
    waiting: list[str] = []

    def visit(name: str) -> None:
        if name in ordered or name not in serve:
            return
        if name in waiting:
            raise ValueError(name)
        waiting.append(name)
        for before in serve[name].after:
            visit(before)
        waiting.remove(name)
        ordered.append(name)

    for each in serve:
        visit(each)
    return ordered


def starts_after(serve: Mapping[str, Served]) -> dict[str, list[str]]:
    """For each entry those that are ready before it starts: what it says, and what has a GPU of its
    own already: two that measure the same GPU's free memory at once both measure wrong."""
    ordered = start_order(serve)
    found: dict[str, list[str]] = {}
    for index, name in enumerate(ordered):
        gpus, host = set(serve[name].gpus), serve[name].host
        sharing = [
            other
            for other in ordered[:index]
            if serve[other].host == host and gpus & set(serve[other].gpus)
        ]
        found[name] = list(dict.fromkeys([*serve[name].after, *sharing]))
    return found
