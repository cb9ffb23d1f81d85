"""`serve:` is backends and models at once, and what cannot run is told before anything starts."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from infergate.config.backends import ServedBackend
from infergate.config.json_schema import json_schema
from infergate.config.load import parse_config
from infergate.config.problems import ConfigError
from infergate.config.root import Config
from infergate.config.serve import starts_after

QWEN = "engine: vllm, model: Qwen/Qwen2.5-7B-Instruct"
BGE = "engine: tei, model: BAAI/bge-m3"


def config(text: str, **environ: str) -> Config:
    return parse_config(text, Path("infergate.yaml"), environ).config


def problems(*entries: str, rest: str = "") -> list[str]:
    """What is wrong with entries a, b, …, of which the first stands in line 2."""
    lines = "".join(
        f"  {name}: {{ {each} }}\n" for name, each in zip("abcd", entries, strict=False)
    )
    try:
        config(f"serve:\n{lines}{rest}", KEY="k1")
    except ConfigError as found:
        return [str(each).removeprefix("infergate.yaml:") for each in found.problems]
    return []


def test_an_entry_is_a_backend_with_its_model_and_key() -> None:
    made = config(
        f"serve:\n  qwen: {{ {QWEN}, name: qwen2.5-7b, listen: 8001, api_key: '${{KEY}}' }}\n"
        f"  vectors: {{ {BGE}, listen: 10.0.0.5:8002, api_key: '${{KEY}}', max_in_flight: 4 }}\n"
        "backends: { cloud: https://api.example.com }\n"
        "models: { chat: [qwen, cloud] }\n",
        KEY="k1",
    )
    assert list(made.backends) == ["qwen", "vectors", "cloud"]
    qwen, vectors = made.backends["qwen"], made.backends["vectors"]
    assert (qwen.root_url, qwen.engine, qwen.models) == (
        "http://127.0.0.1:8001",
        "vllm",
        ["qwen2.5-7b"],
    )
    assert qwen.sent_headers == {"authorization": "Bearer k1"}
    assert (vectors.root_url, vectors.max_in_flight) == ("http://10.0.0.5:8002", 4)
    assert "k1" not in repr(made)
    assert made.models["chat"].backends == ["qwen", "cloud"]


def test_ray_is_a_backend_for_each_of_its_machines() -> None:
    made = config(
        "serve:\n"
        "  big: { engine: ray, model: x/y, listen: 8000, nodes: [10.0.0.5, 'fd00::6'] }\n"
        "  small: { engine: ray, model: x/z, listen: 8000, nodes: [10.0.0.5, 'fd00::6'] }\n"
        "models: { chat: [big] }\n"
    )
    assert {name: (each.root_url, each.models) for name, each in made.backends.items()} == {
        "ray-10.0.0.5": ("http://10.0.0.5:8000", ["big", "small"]),
        "ray-fd00--6": ("http://[fd00::6]:8000", ["big", "small"]),
    }
    assert all(isinstance(each, ServedBackend) for each in made.backends.values())
    assert made.models["chat"].backends == ["ray-10.0.0.5", "ray-fd00--6"]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ((f"{QWEN}, listen: 1", f"{BGE}, listen: 1"), "3:4?: 127.0.0.1:1 is taken by 'a'"),
        ((f"{QWEN}, listen: 8080",), "127.0.0.1:8080 is taken by listen.http"),
        ((f"{QWEN}, listen: 0.0.0.0:1",), "listens for the gateway alone"),
        ((f"{QWEN}, listen: '*:1'",), "listens for the gateway alone"),
        ((f"{QWEN}, listen: 8.8.8.8:1",), "listens for the gateway alone"),
        ((f"{QWEN}, listen: 10.0.0.5:1",), "give it an api_key"),
        (
            (f"{QWEN}, listen: 1, gpus: [0]", f"{BGE}, listen: 2, gpus: [0]"),
            "GPU 0 has no room for all: gpu_memory_utilization 0.9 (a) + 0.9 (b) is 1.8",
        ),
        (
            (f"{QWEN}, listen: 1, gpus: [0, 1, 2], tensor_parallel_size: 2",),
            "tensor_parallel_size 2 × pipeline_parallel_size 1 needs 2 GPUs, and 3 given",
        ),
        ((f"{QWEN}, listen: 1, gpus: [0, 1, 2], pipeline_parallel_size: 2",), "needs 2 GPUs"),
        ((f"{QWEN}, listen: 1, tensor_parallel_size: 2",), "needs 2 GPUs, and none is given"),
        ((f"{QWEN}, listen: 1, gpus: [1, 1]",), "a GPU stands in this list twice"),
        ((f"{BGE}, listen: 1, gpus: [0, 1]",), "tei runs on one GPU"),
        ((f"{BGE}, listen: 1, max_model_len: 5",), "tei has no such setting"),
        (("engine: vlm, model: x, listen: 1",), "did you mean 'vllm'?"),
        (("engine: llamacpp, model: q.gguf, listen: 1",), "a file is a whole path"),
        ((f"{QWEN}, listen: 1, args: [--host, x]",), "--host is the setting 'listen' here"),
        ((f"{QWEN}, listen: 1, args: [--ho=x]",), "--ho is the setting 'listen' here"),
        ((f"{QWEN}, listen: 1, args: [--max_model_len=5]",), "is the setting 'max_model_len'"),
        ((f"{QWEN}, listen: 1, args: [--api-key=x]",), "would show in lists of processes"),
        ((f"{QWEN}, listen: 1, after: [q]",), "nothing here serves 'q'"),
        ((f"{QWEN}, listen: 1, after: [b]", f"{BGE}, listen: 2, after: [a]"), "waits for itself"),
        ((f"{QWEN}, listen: 1, nodes: [10.0.0.5]",), "only ray is on several machines"),
        (("engine: ray, model: x, listen: 1",), "ray needs nodes"),
        (("engine: ray, model: x, listen: 10.0.0.5:1, nodes: [10.0.0.5]",), "the port alone"),
        (
            (
                "engine: ray, model: x, listen: 1, nodes: [10.0.0.5]",
                "engine: ray, model: y, listen: 1, nodes: [10.0.0.6]",
            ),
            "one Ray serves all its models: the same nodes as 'a'",
        ),
        ((f'{QWEN}, listen: 1, environment: {{ A: "x\'y" }}',), "a value for the environment"),
        ((f"{QWEN}, listen: 1, model: --x",), "'model' is set twice"),
    ],
)
def test_what_cannot_run_is_told_with_its_place(entries: tuple[str, ...], said: str) -> None:
    found = problems(*entries)
    said = said.removeprefix("3:4?: ")
    assert any(said in each for each in found), found
    lines = {int(each.split(":")[0]) for each in found}
    assert lines <= set(range(2, 2 + len(entries))), "each is told where it stands"


def test_a_place_is_a_line_and_a_column() -> None:
    text = f"serve:\n  a: {{ {QWEN}, listen: 8001 }}\n  b: {{ {BGE}, listen: 8001 }}\n"
    with pytest.raises(ConfigError) as found:
        config(text)
    column = text.splitlines()[2].index("8001") + 1
    assert str(found.value) == f"infergate.yaml:3:{column}: 127.0.0.1:8001 is taken by 'a'"


def test_what_fits_is_not_refused() -> None:
    assert not problems(
        f"{QWEN}, listen: 1, gpus: [0, 1], gpu_memory_utilization: 0.7, api_key: '${{KEY}}'",
        f"{BGE}, listen: 2, gpus: [1], gpu_memory_utilization: 0.3",
        f"{QWEN}, listen: 10.0.0.5:1, gpus: [0, 1, 2, 3], tensor_parallel_size: 2, "
        "pipeline_parallel_size: 2, api_key: '${KEY}', args: [--max-num-seqs=4]",
    )


def test_a_name_is_a_backend_once() -> None:
    found = problems(f"{QWEN}, listen: 1", rest="backends: { a: http://127.0.0.1:2 }\n")
    assert found == ["3:16: serve.a is a backend of this name already: leave it out here"]


def test_one_wrong_entry_hides_no_other_mistake_and_blames_no_model() -> None:
    found = problems("engine: vlm, model: x, listen: 1", rest="models: { m: [a] }\nuser: '?'\n")
    assert len(found) == 2, found


def test_a_file_with_neither_backends_nor_serve_says_so() -> None:
    with pytest.raises(ConfigError, match=r"1:1: the file needs the setting 'backends'"):
        config("listen: 1\n")
    assert problems(f"{QWEN}, listen: 1", rest="backends: {}\n") == [
        "3:11: needs at least one entry"
    ]


def test_engines_of_one_gpu_start_one_after_another() -> None:
    serve = config(
        f"serve:\n"
        f"  a: {{ {QWEN}, listen: 1, gpus: [0], gpu_memory_utilization: 0.5, after: [c] }}\n"
        f"  b: {{ {QWEN}, listen: 2, gpus: [1] }}\n"
        f"  c: {{ {QWEN}, listen: 3, gpus: [0], gpu_memory_utilization: 0.2 }}\n"
        f"  d: {{ {QWEN}, listen: 4, gpus: [0], gpu_memory_utilization: 0.2 }}\n"
    ).serve
    assert starts_after(serve) == {"c": [], "a": ["c"], "b": [], "d": ["c", "a"]}


def test_the_schema_knows_serve() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    good = YAML(typ="safe").load(f"serve: {{ a: {{ {QWEN}, listen: 8001, gpus: [0] }} }}")
    assert validator.is_valid(good)
    good["serve"]["a"]["gpu"] = 1
    assert not validator.is_valid(good)
    assert not validator.is_valid({"listen": 1})
