"""Ray Serve's part of `serve`: what `serve deploy` takes, and a unit for each node.

The names in the configuration are ray.serve.llm's LLMConfig and Serve's ServeDeploySchema (2.60).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

from infergate.config.serve import Served, served_as
from infergate.deploy.folder import File
from infergate.deploy.serve_commands import word
from infergate.deploy.serve_keys import lines_of, new_key
from infergate.deploy.templates import filled

CONFIG = "ray/ray_serve.yaml"
_ENVIRONMENT = "ray/ray.env"
_APPLICATION = "ray.serve.llm:build_openai_app"
_PROGRAM = "/opt/vllm/bin/ray"
_STREAMS_END_S = 600
"""How long a replica that stops may finish its streams; as the gateway's own stop."""


def ray_files(serve: Mapping[str, Served], out: Path) -> Iterator[File]:
    """Nothing where Ray serves nothing. out: the folder, whose token of the cluster is kept."""
    on_ray = {name: each for name, each in serve.items() if each.engine == "ray"}
    if not on_ray:
        return
    first = next(iter(on_ray.values()))
    secret = any(each.environment for each in on_ray.values())
    text = filled(
        "serve", "ray_serve.yaml.j2", version=metadata.version("infergate"), body=_yaml(on_ray)
    )
    yield File(CONFIG, text.encode(), 0o600 if secret else 0o644)
    token = lines_of(out / _ENVIRONMENT).get("RAY_AUTH_TOKEN") or new_key()
    lines = f"# Who may tell this Ray what to run.\nRAY_AUTH_MODE=token\nRAY_AUTH_TOKEN={token}\n"
    yield File(_ENVIRONMENT, lines.encode(), 0o600)
    head, *_ = first.nodes
    program = first.program or _PROGRAM
    for node in first.nodes:
        text = filled(
            "serve",
            "infergate-ray.service.j2",
            version=metadata.version("infergate"),
            program=word(program),
            node=node,
            head=head,
            models=", ".join(served_as(name, each) for name, each in on_ray.items()),
        )
        yield File(f"ray/{node.replace(':', '-')}/infergate-ray.service", text.encode())


def ray_configuration(on_ray: Mapping[str, Served]) -> dict[str, Any]:
    """One application with all models, behind a proxy on every node."""
    first = next(iter(on_ray.values()))
    everywhere = "::" if any(":" in node for node in first.nodes) else "0.0.0.0"  # noqa: S104
    return {
        "proxy_location": "EveryNode",
        "http_options": {
            "host": first.nodes[0] if len(first.nodes) == 1 else everywhere,
            "port": first.port,
        },
        "applications": [
            {
                "name": "infergate",
                "route_prefix": "/",
                "import_path": _APPLICATION,
                "args": {"llm_configs": [_model(name, each) for name, each in on_ray.items()]},
            }
        ],
    }


def _model(name: str, served: Served) -> dict[str, Any]:
    engine: dict[str, Any] = {"tensor_parallel_size": served.tensor}
    if served.pipeline_parallel_size > 1:
        engine["pipeline_parallel_size"] = served.pipeline_parallel_size
    engine["gpu_memory_utilization"] = served.gpu_memory_utilization
    if served.max_model_len is not None:
        engine["max_model_len"] = served.max_model_len
    if served.embedding:
        engine["runner"] = "pooling"
    engine |= dict(_keyword(argument) for argument in served.args)
    made: dict[str, Any] = {
        "model_loading_config": {
            "model_id": served_as(name, served),
            "model_source": served.model,
        },
        "engine_kwargs": engine,
        "deployment_config": {
            "num_replicas": served.replicas,
            "graceful_shutdown_timeout_s": _STREAMS_END_S,
        },
    }
    if served.max_in_flight is not None:
        made["deployment_config"]["max_ongoing_requests"] = served.max_in_flight
    if served.environment:
        values = {name: value.get_secret_value() for name, value in served.environment.items()}
        made["runtime_env"] = {"env_vars": values}
    return made


def _keyword(argument: str) -> tuple[str, Any]:
    """vLLM's argument as a keyword of its engine: --max-num-seqs=64, --enable-prefix-caching,
    --no-enable-prefix-caching."""
    name, equals, value = argument.removeprefix("--").partition("=")
    if not equals:
        on = not name.startswith("no-")
        return name.removeprefix("no-").replace("-", "_"), on
    return name.replace("-", "_"), _value(value)


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _yaml(on_ray: Mapping[str, Served]) -> str:
    from ruamel.yaml import YAML

    out = StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.dump(ray_configuration(on_ray), out)
    return out.getvalue()
