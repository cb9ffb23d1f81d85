"""Whether what is to be served fits the machine and the rest of the file. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from infergate.config.addresses import is_loopback, overlap
from infergate.config.backends import ServedBackend
from infergate.config.document import Path
from infergate.config.problems import Finding, did_you_mean
from infergate.config.root import Config
from infergate.config.serve import ONE_GPU, Served, backends_of, start_order

_ROUNDING = 1e-9
_SETTINGS = {
    "--host": "listen",
    "--hostname": "listen",
    "--port": "listen",
    "--model": "model",
    "--model-id": "model",
    "--served-model-name": "name",
    "--alias": "name",
    "--tensor-parallel-size": "tensor_parallel_size",
    "--pipeline-parallel-size": "pipeline_parallel_size",
    "--gpu-memory-utilization": "gpu_memory_utilization",
    "--max-model-len": "max_model_len",
}
_SHORT = {"-m": "model", "-a": "name", "-tp": "tensor_parallel_size"}
_KEYS = ("--api-key", "--api-keys", "--hf-token", "--hf-api-token")


def serve_contradictions(config: Config) -> Iterator[Finding]:
    """What cannot work, each with the path of the value that is wrong."""
    for name, served in config.serve.items():
        yield from _one(("serve", name), served)
        yield from _arguments(("serve", name), served)
        for index, other in enumerate(served.after):
            if other not in config.serve:
                hint = did_you_mean(other, config.serve)
                yield ("serve", name, "after", index), f"nothing here serves {other!r}{hint}"
    try:
        start_order(config.serve)
    except ValueError as problem:
        yield ("serve", str(problem), "after"), "waits for itself, by what it is to start after"
    for name, backends in backends_of(config.serve).items():
        for backend in backends:
            if not isinstance(config.backends[backend], ServedBackend):
                yield (
                    ("backends", backend),
                    f"serve.{name} is a backend of this name already: leave it out here",
                )
    yield from _ports(config)
    yield from _gpus(config)
    yield from _cluster(config)


def _one(path: tuple[str, str], served: Served) -> Iterator[Finding]:
    if len(set(served.gpus)) < len(served.gpus):
        yield (*path, "gpus"), "a GPU stands in this list twice"
    yield from (_on_ray if served.engine == "ray" else _on_one_machine)(path, served)
    yield from _by_engine(path, served)
    if served.model.endswith(".gguf") and not served.model.startswith("/"):
        yield (*path, "model"), "a file is a whole path here: /srv/models/qwen.gguf"
    if served.program is not None and not served.program.startswith("/"):
        yield (*path, "program"), "a service's program is a whole path: /opt/vllm/bin/vllm"


def _on_ray(path: tuple[str, str], served: Served) -> Iterator[Finding]:
    if served.gpus:
        yield (*path, "gpus"), "Ray chooses the GPUs itself: leave gpus out"
    if not served.nodes:
        yield path, "ray needs nodes: the addresses of its machines"
    if not is_loopback(served.listen):
        yield (*path, "listen"), f"with ray the port alone: {served.port}; nodes says where"
    if served.api_key is not None:
        yield (*path, "api_key"), "Ray Serve asks for no key: a firewall has to keep others out"


def _on_one_machine(path: tuple[str, str], served: Served) -> Iterator[Finding]:
    wanted = served.tensor * served.pipeline_parallel_size
    if served.nodes:
        yield (*path, "nodes"), "only ray is on several machines"
    if served.replicas > 1:
        yield (*path, "replicas"), "only ray has replicas: write one more entry"
    if not is_loopback(served.listen) and served.api_key is None:
        yield (
            (*path, "listen"),
            f"others can reach {served.listen}: give it an api_key: ${{NAME}}, or listen on "
            f"this machine only ({served.port})",
        )
    if wanted != max(1, len(served.gpus)) or (wanted > 1 and not served.gpus):
        there = f"{len(served.gpus)} given" if served.gpus else "none is given"
        yield (
            (*path, "gpus"),
            f"tensor_parallel_size {served.tensor} × pipeline_parallel_size "
            f"{served.pipeline_parallel_size} needs {wanted} GPUs, and {there}",
        )


def _by_engine(path: tuple[str, str], served: Served) -> Iterator[Finding]:
    if served.engine in ONE_GPU:
        if len(served.gpus) > 1:
            yield (*path, "gpus"), f"{served.engine} runs on one GPU"
        if served.max_model_len is not None:
            yield (*path, "max_model_len"), f"{served.engine} has no such setting"
    if served.engine == "llamacpp" and served.tensor > 1 and served.pipeline_parallel_size > 1:
        yield (*path, "tensor_parallel_size"), "llama.cpp splits by layers or by rows, not by both"


def _arguments(path: tuple[str, str], served: Served) -> Iterator[Finding]:
    for index, argument in enumerate(served.args):
        option = argument.partition("=")[0].replace("_", "-")
        where: Path = (*path, "args", index)
        if served.engine == "ray" and not option.startswith("--"):
            yield where, "with ray an argument is one word: --max-num-seqs=64"
        if option in _KEYS:
            yield (
                where,
                f"{option} would show in lists of processes: write api_key: ${{NAME}}, or "
                "environment",
            )
            continue
        # argparse takes beginnings, too: --ho is --host.
        long = option.startswith("--") and len(option) > len("--x")
        meant = next((s for each, s in _SETTINGS.items() if long and each == option), None)
        if meant is None and served.engine == "vllm" and long:
            meant = "listen" if "--host".startswith(option) or "--port".startswith(option) else None
        meant = meant or _SHORT.get(option)
        if meant is not None:
            yield where, f"{option} is the setting {meant!r} here"


def _ports(config: Config) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    own = {
        "listen.http": config.listen.http,
        "listen.https": config.listen.https,
        "admin.listen": config.admin.listen,
    }
    for name, served in config.serve.items():
        if served.engine == "ray":
            continue
        other = taken.setdefault(served.listen, name)
        if other != name:
            yield ("serve", name, "listen"), f"{served.listen} is taken by {other!r}"
        for setting, address in own.items():
            if address and overlap(address, served.listen):
                yield ("serve", name, "listen"), f"{served.listen} is taken by {setting}"


def _gpus(config: Config) -> Iterator[Finding]:
    """Shares of one GPU; machines are told apart by their addresses."""
    shares: dict[tuple[str, int], dict[str, float]] = {}
    for name, served in config.serve.items():
        for gpu in dict.fromkeys(served.gpus):
            there = shares.setdefault((served.host, gpu), {})
            there[name] = served.gpu_memory_utilization
            if len(there) > 1 and sum(there.values()) > 1 + _ROUNDING:
                listed = " + ".join(f"{share:g} ({n})" for n, share in there.items())
                yield (
                    ("serve", name, "gpus"),
                    f"GPU {gpu} has no room for all: gpu_memory_utilization {listed} is "
                    f"{sum(there.values()):g}",
                )


def _cluster(config: Config) -> Iterator[Finding]:
    """All that Ray serves is one application, behind the same proxies."""
    first: tuple[str, Served] | None = None
    names: dict[str, str] = {}
    for name, served in config.serve.items():
        if served.engine != "ray":
            continue
        if len(set(served.nodes)) < len(served.nodes):
            yield ("serve", name, "nodes"), "a machine stands in this list twice"
        model = served.name or name
        if names.setdefault(model, name) != name:
            yield ("serve", name, "name"), f"{model!r} is served by {names[model]!r}: use replicas"
        if first is None:
            first = (name, served)
            continue
        for setting in ("nodes", "listen"):
            if getattr(first[1], setting) != getattr(served, setting):
                yield (
                    ("serve", name, setting),
                    f"one Ray serves all its models: the same {setting} as {first[0]!r}",
                )
