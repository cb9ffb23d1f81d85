"""How each engine is told what `serve` says of it: one row per engine, one function per row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from infergate.config.serve import Served, ServedEngine, served_as

_ALL_LAYERS = "999"
"""More than any model has; older llama-servers know no "all"."""

_SPECIAL = frozenset(" \t\"'\\;")

Lines = list[list[str]]
"""Words of a command, those that belong together on one line."""


@dataclass(frozen=True)
class EngineProgram:
    """One kind of engine as a service.

    program: where it is looked for. in_image: what starts it in its image; None, what the image
        starts anyway. image, cpu_image: images with and without CUDA. key_variable: the environment
        variable that it takes its API key from, so that no list of processes shows it.
    options: its arguments, for a name, an entry, and the address that it listens on.
    """

    title: str
    program: str
    image: str
    cpu_image: str
    in_image: tuple[str, ...] | None
    key_variable: str
    options: Callable[[str, Served, str], Lines]
    before: tuple[str, ...] = ()


def _vllm(name: str, served: Served, host: str) -> Lines:
    lines = [
        [served.model],
        ["--served-model-name", served_as(name, served)],
        ["--host", host, "--port", str(served.port)],
    ]
    if served.embedding:
        lines.append(["--runner", "pooling"])
    if served.tensor > 1:
        lines.append(["--tensor-parallel-size", str(served.tensor)])
    if served.pipeline_parallel_size > 1:
        lines.append(["--pipeline-parallel-size", str(served.pipeline_parallel_size)])
    if served.gpus:
        lines.append(["--gpu-memory-utilization", f"{served.gpu_memory_utilization:g}"])
    if served.max_model_len is not None:
        lines.append(["--max-model-len", str(served.max_model_len)])
    return lines


def _llamacpp(name: str, served: Served, host: str) -> Lines:
    is_file = served.model.endswith(".gguf")
    lines = [
        ["--model" if is_file else "--hf-repo", served.model],
        ["--alias", served_as(name, served)],
        ["--host", host, "--port", str(served.port)],
        ["--metrics"],
    ]
    if served.embedding:
        lines.append(["--embedding"])
    lines.append(["--n-gpu-layers", _ALL_LAYERS if served.gpus else "0"])
    if len(served.gpus) > 1:
        # Rows are llama.cpp's tensor parallelism, layers its pipeline.
        lines.append(["--split-mode", "row" if served.tensor > 1 else "layer"])
    if served.max_model_len is not None:
        lines.append(["--ctx-size", str(served.max_model_len)])
    return lines


def _tei(name: str, served: Served, host: str) -> Lines:
    return [
        ["--model-id", served.model],
        ["--served-model-name", served_as(name, served)],
        ["--hostname", host, "--port", str(served.port)],
    ]


def _infinity(name: str, served: Served, host: str) -> Lines:
    return [
        ["--model-id", served.model],
        ["--served-model-name", served_as(name, served)],
        ["--host", host, "--port", str(served.port)],
        ["--url-prefix", "/v1"],
        ["--device", "cuda" if served.gpus else "cpu"],
    ]


ENGINES: Mapping[ServedEngine, EngineProgram] = MappingProxyType(
    {
        "vllm": EngineProgram(
            title="vLLM",
            program="/opt/vllm/bin/vllm",
            image="vllm/vllm-openai:v0.32.0",
            cpu_image="vllm/vllm-openai-cpu:v0.32.0",
            in_image=("vllm",),
            key_variable="VLLM_API_KEY",
            options=_vllm,
            before=("serve",),
        ),
        "llamacpp": EngineProgram(
            title="llama.cpp",
            program="/usr/local/bin/llama-server",
            image="ghcr.io/ggml-org/llama.cpp:server-cuda",
            cpu_image="ghcr.io/ggml-org/llama.cpp:server",
            in_image=None,
            key_variable="LLAMA_API_KEY",
            options=_llamacpp,
        ),
        "tei": EngineProgram(
            title="Text Embeddings Inference",
            program="/usr/local/bin/text-embeddings-router",
            image="ghcr.io/huggingface/text-embeddings-inference:1.9.4",
            cpu_image="ghcr.io/huggingface/text-embeddings-inference:cpu-1.9.4",
            in_image=None,
            key_variable="API_KEY",
            options=_tei,
        ),
        "infinity": EngineProgram(
            title="Infinity",
            program="/opt/infinity/bin/infinity_emb",
            image="michaelf34/infinity:latest",
            cpu_image="michaelf34/infinity:latest-cpu",
            in_image=None,
            key_variable="INFINITY_API_KEY",
            options=_infinity,
            before=("v2",),
        ),
    }
)
"""All but ray, which is no service of one machine (serve_ray.py)."""


def arguments(name: str, served: Served) -> Lines:
    """What follows its program, the operator's own arguments last. Never a secret."""
    engine = ENGINES[served.engine]
    first, *others = engine.options(name, served, served.host)
    return [[*engine.before, *first], *others, *_grouped(served.args)]


def _grouped(words: Sequence[str]) -> Lines:
    """Each option with what follows it."""
    lines: Lines = []
    for word in words:
        if word.startswith("-") or not lines:
            lines.append([word])
        else:
            lines[-1].append(word)
    return lines


def secrets(served: Served) -> dict[str, str]:
    """What its environment file has."""
    found = {name: value.get_secret_value() for name, value in served.environment.items()}
    if served.api_key is not None:
        found[ENGINES[served.engine].key_variable] = served.api_key.get_secret_value()
    return found


def word(text: str) -> str:
    """One word of a command line of systemd (systemd.service(5), "Command lines")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if not text or _SPECIAL & set(text) else escaped
