"""`serve:` alone: real vLLM and llama.cpp as their units start them, and a gateway that is told of
them nowhere else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.backends.cache import CACHE, python_of
from tests.backends.servers import Server, available, free_port
from tests.gateway import Gateway, gateway, until
from tests.serve_units import running_unit

KEY = "engine-key-1"
_CPU = {
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


# The package that has vLLM for CPUs is named otherwise than vLLM's own command looks for.
_VLLM = """\
#!{python}
import importlib.metadata as metadata
from vllm.entrypoints.cli.main import main

if __name__ == "__main__":
    found = metadata.version("vllm-cpu") + "+cpu"
    version = metadata.version
    metadata.version = lambda name: found if name == "vllm" else version(name)
    main()
"""


@dataclass
class Stack:
    gateway: Gateway
    engines: dict[str, Server]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    for name in ("vllm", "llamacpp"):
        if reason := available(name):
            pytest.skip(reason)
    folder = tmp_path_factory.mktemp("serve")
    (folder / "vllm").write_text(_VLLM.format(python=python_of("vllm")))
    (folder / "vllm").chmod(0o755)
    ports = {"qwen": free_port(), "words": free_port(), "vectors": free_port()}
    llama = f"engine: llamacpp, program: {CACHE}/llamacpp/llama-server"
    variables = "".join(f"      {name}: '{value}'\n" for name, value in _CPU.items())
    text = f"""
serve:
  qwen:
    engine: vllm
    model: {CACHE}/vllm/model
    name: qwen-1.5-7b-chat
    program: {folder}/vllm
    listen: {ports["qwen"]}
    max_model_len: 2048
    args: [--dtype, float32, --enforce-eager, --max-num-seqs=8, --max-num-batched-tokens=1024,
           --kv-cache-memory-bytes, "67108864"]
    environment:
{variables}    api_key: ${{SERVE_TEST_KEY}}
  words: {{ {llama}, model: {CACHE}/llamacpp/tiny.gguf, listen: {ports["words"]},
           max_model_len: 4096, args: [-t, "1"], api_key: "${{SERVE_TEST_KEY}}" }}
  vectors: {{ {llama}, model: {CACHE}/llamacpp/tiny.gguf, listen: {ports["vectors"]},
             embedding: true, args: [-t, "1", --pooling, mean], api_key: "${{SERVE_TEST_KEY}}" }}
models:
  "*": [qwen, words, vectors]
  gpt-3.5-turbo: {{ backends: [words, qwen], fallback: [words] }}
"""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as left:
        patch.setenv("SERVE_TEST_KEY", KEY)
        it = left.enter_context(gateway("embedded", text))
        before = {each["name"]: each["models"] for each in it.status()["backends"]}
        assert before == {
            "qwen": ["qwen-1.5-7b-chat"],
            "words": ["words"],
            "vectors": ["vectors"],
        }, "known before any of them runs"
        it.run("deploy", "serve", "-o", str(folder))
        engines = {name: left.enter_context(running_unit(folder, name, folder)) for name in ports}
        until(lambda: {each["state"] for each in it.status()["backends"]} == {"up"})
        yield Stack(it, engines)


@pytest.mark.parametrize("model", ["qwen-1.5-7b-chat", "words"])
def test_real_engines_answer_and_stream_by_their_served_name(stack: Stack, model: str) -> None:
    body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}]}
    said = stack.gateway.post("/v1/chat/completions", body, timeout=120).json()
    assert said["choices"][0]["message"]["role"] == "assistant"
    assert said["model"] == model
    body["stream"] = True
    stream = stack.gateway.post("/v1/chat/completions", body, timeout=120)
    assert stream.text.rstrip().endswith("data: [DONE]")


def test_real_vectors_come_from_the_embedding_engine(stack: Stack) -> None:
    said = stack.gateway.post("/v1/embeddings", {"model": "vectors", "input": "hi"}).json()
    assert len(said["data"][0]["embedding"]) > 8


def test_an_engine_refuses_whoever_has_not_the_gateways_key(stack: Stack) -> None:
    for server in stack.engines.values():
        body = {"model": "x", "messages": [], "input": "x"}
        for path in ("/v1/chat/completions", "/v1/embeddings"):
            assert httpx.post(server.url + path, json=body, timeout=60).status_code == 401


def test_no_list_of_processes_shows_the_key(stack: Stack) -> None:
    for server in stack.engines.values():
        shown = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert b"--port" in shown
        assert KEY.encode() not in shown


def test_an_engine_is_bound_to_the_gateways_side(stack: Stack) -> None:
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    bound = {line.split()[3] for line in listening.splitlines()}
    for server in stack.engines.values():
        port = f":{server.port}"
        assert {each for each in bound if each.endswith(port)} == {f"127.0.0.1{port}"}
