"""Programs that are pointed at an OpenAI-compatible server, unmodified, before a real llama.cpp:
aider, GuideLLM, vLLM's benchmark, Open WebUI."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backends.cache import CACHE, python_of
from tests.backends.servers import Server, available, open_webui
from tests.gateway import Gateway, gateway, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("engine", ["debian"], indirect=True, scope="module"),
]

PATIENT_S = 900
"""They load torch, beside other tests."""

TOKENIZER = str(CACHE / "vllm" / "model")
"""Of the tiny Qwen2: both benchmarks count with one, and there is no hub."""

BENCH = Path(__file__).with_name("vllm_bench.py")


@pytest.fixture(scope="module")
def front(engine: str, llama: Server) -> Iterator[Gateway]:
    with gateway(engine, f"backends: {{ llama: {llama.url} }}\n") as it:
        until(lambda: it.backend("llama")["models"])
        yield it


def need(*names: str) -> None:
    for name in names:
        if reason := available(name):
            pytest.skip(reason)


def run(command: Sequence[str], folder: Path, **environ: str) -> str:
    """What a program prints; it must end well."""
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "HF_HUB_OFFLINE": "1", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENT_S,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    return ran.stdout


def chats(it: Gateway, since: int) -> list[dict[str, Any]]:
    """Lines of the access log about chats, after the first so many lines of it."""
    return [line for line in it.log()[since:] if line["uri"] == "/v1/chat/completions"]


def test_aider_is_answered_and_ends(front: Gateway, tmp_path: Path) -> None:
    need("aider")
    settings = tmp_path / "settings.yml"
    settings.write_text("- name: openai/tiny-llama\n  extra_params: { max_tokens: 20 }\n")
    before = len(front.log())
    command = [str(python_of("aider")), "-m", "aider", "--model", "openai/tiny-llama"]
    quiet = ["--no-git", "--no-check-update", "--no-show-model-warnings", "--no-pretty"]
    quiet += ["--no-analytics", "--yes-always", "--no-show-release-notes"]
    options = ["--model-settings-file", str(settings), "--message", "Say hello"]
    run(
        [*command, *quiet, *options],
        tmp_path,
        OPENAI_API_BASE=f"{front.url}/v1",
        OPENAI_API_KEY=front.key,
        LITELLM_LOCAL_MODEL_COST_MAP="True",
    )
    lines = until(lambda: chats(front, before))
    assert {line["status"] for line in lines} == {200}
    assert lines[0]["gen_ai.usage.output_tokens"] == 20


def test_guidellm_measures_and_counts_as_the_gateway_does(front: Gateway, tmp_path: Path) -> None:
    need("guidellm", "vllm")
    before = len(front.log())
    options = {
        "--backend": f"kind=openai_http,target={front.url},model=tiny-llama,api_key={front.key}",
        "--profile": "kind=concurrent,streams=2",
        "--constraint": "kind=max_requests,count=6",
        "--tokenizer": f"kind=huggingface_auto,model={TOKENIZER}",
        "--data": "kind=synthetic_text,prompt_tokens=32,output_tokens=16",
        "--output": f"kind=json,path={tmp_path / 'report.json'}",
    }
    words = [word for option in options.items() for word in option]
    guidellm = [str(python_of("guidellm")), "-m", "guidellm", "run", "--disable-progress"]
    run([*guidellm, *words], tmp_path)
    (report,) = json.loads((tmp_path / "report.json").read_text())["benchmarks"]
    totals = report["metrics"]["request_totals"]
    assert (totals["successful"], totals["errored"]) == (6, 0)
    lines = until(lambda: len(found := chats(front, before)) >= 6 and found)
    counted = [line["gen_ai.usage.output_tokens"] for line in lines]
    assert sum(counted) == report["metrics"]["output_token_count"]["successful"]["total_sum"]


def test_vllms_benchmark_measures_and_counts_as_the_gateway_does(
    front: Gateway, tmp_path: Path
) -> None:
    need("vllm")
    before = len(front.log())
    options = {
        "--backend": "openai-chat",
        "--base-url": front.url,
        "--endpoint": "/v1/chat/completions",
        "--model": "tiny-llama",
        "--tokenizer": TOKENIZER,
        "--dataset-name": "random",
        "--random-input-len": "16",
        "--random-output-len": "8",
        "--num-prompts": "6",
        "--max-concurrency": "2",
        "--result-filename": str(tmp_path / "result.json"),
    }
    words = [word for option in options.items() for word in option]
    command = [str(python_of("vllm")), str(BENCH), *words, "--save-result", "--disable-tqdm"]
    run(command, tmp_path, OPENAI_API_KEY=front.key, VLLM_NO_USAGE_STATS="1")
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["completed"], result["failed"]) == (6, 0)
    lines = until(lambda: len(found := chats(front, before)) >= 6 and found)
    counted = [line["gen_ai.usage.output_tokens"] for line in lines[-6:]]  # the first is a try
    assert sum(counted) == result["total_output_tokens"]


def test_open_webui_lists_the_models_and_streams_a_chat(front: Gateway, tmp_path: Path) -> None:
    need("openwebui")
    with open_webui(tmp_path, f"{front.url}/v1", front.key) as server:
        client = httpx.Client(base_url=server.url, timeout=120)
        person = {"name": "Alice", "email": "alice@example.com", "password": "a long secret 1"}
        token = client.post("/api/v1/auths/signup", json=person).raise_for_status().json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        models = client.get("/api/models").raise_for_status().json()["data"]
        assert [model["id"] for model in models if model["owned_by"] == "openai"] == ["tiny-llama"]
        asked = {"model": "tiny-llama", "stream": True, "max_tokens": 5}
        asked |= {"messages": [{"role": "user", "content": "hello"}]}
        with client.stream("POST", "/api/chat/completions", json=asked) as answer:
            events = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert events[-1] == "[DONE]"
    choices = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices).strip()
    assert choices[-1]["finish_reason"] == "length"
