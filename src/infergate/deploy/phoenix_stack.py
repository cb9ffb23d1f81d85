"""What the containers beside the gateway are to it: backends with their models, and services."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from infergate.deploy.phoenix import Container
from infergate.health.model_kind import embeds


@dataclass(frozen=True)
class StackBackend:
    """models: by the name that clients use; empty are all that it has."""

    name: str
    url: str
    engine: str
    models: tuple[str, ...] = ()
    caches: bool = False


@dataclass(frozen=True)
class StackService:
    """path or host: where clients find it. own_login: it asks for passwords itself."""

    name: str
    url: str
    path: str | None = None
    host: str | None = None
    own_login: bool = True


@dataclass(frozen=True)
class Stack:
    backends: tuple[StackBackend, ...]
    services: tuple[StackService, ...]


_ENGINES = {
    "ollama": ("ollama", 11434),
    "llamacpp": ("llamacpp", 8081),
    "llama": ("llamacpp", 8081),
}
_SERVICES = {
    "qdrant": ("http", 6333),
    "n8n": ("http", 5678),
    "webui": ("http", 8080),
    "portainer": ("https", 9443),
}
"""By a word of the container's name: the port where its `ports` do not say."""

_DOMAIN = "phoenix.local"


def stack_of(containers: Iterable[Container], gateway: int) -> Stack:
    """What there is beside the gateway, in the order of the file."""
    backends: list[StackBackend] = []
    services: list[StackService] = []
    for each in containers:
        if each.id == gateway:
            continue
        if (vllm := _vllm(each)) is not None:
            backends.append(vllm)
        elif (service := _service(each)) is not None:
            services.append(service)
        elif (engine := _engine(each)) is not None:
            backends.append(engine)
    return Stack(tuple(backends), tuple(services))


def _vllm(container: Container) -> StackBackend | None:
    config = container.vllm_engine_config or {}
    server = _section(config, "ServerConfig", "server_config")
    model = _section(config, "ModelConfig", "model_config")
    name = server.get("served_model_name") or container.vllm_served_model_name
    name = name or model.get("model") or container.vllm_model
    if not name and not config:
        return None
    port = server.get("port") or container.vllm_port or _port(container, 8000)
    models = (str(name),) if name else ()
    embedding = container.vllm_model_type == "embedding" or any(embeds(each) for each in models)
    return StackBackend(
        _short(container), f"http://{container.address}:{port}", "vllm", models, embedding
    )


def _section(config: dict[str, Any], *names: str) -> dict[str, Any]:
    found: Any = next((config[name] for name in names if name in config), None)
    return found if isinstance(found, dict) else {}


def _engine(container: Container) -> StackBackend | None:
    name = container.name.lower()
    for word, (kind, port) in _ENGINES.items():
        if word in name.replace(".", "").replace("-", "") or word in container.features:
            url = f"http://{container.address}:{_port(container, port)}"
            return StackBackend(_short(container), url, kind)
    return None


def _service(container: Container) -> StackService | None:
    name = container.name.lower()
    for word, (scheme, port) in _SERVICES.items():
        if word in name:
            url = f"{scheme}://{container.address}:{_port(container, port)}"
            if word == "qdrant":  # programs use it, with a key
                return StackService(word, url, path="/qdrant/", own_login=False)
            return StackService(word, url, host=f"{word}.{_DOMAIN}")
    return None


def _port(container: Container, usual: int) -> int:
    """The usual one, unless the entry has ports and it is not among them: then their first."""
    inside = [int(found[1]) for each in container.ports if (found := re.search(r"(\d+)$", each))]
    return usual if usual in inside or not inside else inside[0]


def _short(container: Container) -> str:
    name = re.sub(r"(?i)[-_]?(lxc|server|container)$", "", container.name)
    return re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-") or f"ct{container.id}"
