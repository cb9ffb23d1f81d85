"""Models on several machines: real Ray Serve on two network namespaces, brought by what `deploy
serve` writes. Only vLLM is a double (tests/backends/ray_double.py): there is no GPU here."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.backends.cache import CACHE, python_of
from tests.backends.servers import available
from tests.gateway import Gateway, gateway, run_here, until
from tests.ray_cluster import NODES, Cluster, cluster, inside

pytestmark = pytest.mark.slow

READS = Path(__file__).parents[1] / "ray_reads.py"
FIRST, SECOND = (f"ray-{node}" for node in NODES)
SERVE = f"""
serve:
  big:
    engine: ray
    model: Qwen/Qwen2.5-72B-Instruct
    program: {python_of("ray").with_name("ray")}
    listen: 8000
    nodes: [{", ".join(NODES)}]
    replicas: 2
health: {{ slow_start: 0 }}
"""
PATIENT_S = 600
"""Two Rays start on two cores, beside other tests."""


@dataclass
class Stack:
    gateway: Gateway
    ray: Cluster
    key: str

    def deploy(self, *, replicas: int) -> None:
        """The configuration that was written, with the double in vLLM's place."""
        written = self.ray.folder / "ray/ray_serve.yaml"
        text = written.read_text().replace("ray.serve.llm:", "ray_double:")
        changed = self.ray.scratch / "ray_serve.yaml"
        changed.write_text(text.replace("num_replicas: 2", f"num_replicas: {replicas}"))
        until(lambda: self.ray.ray("serve", "deploy", str(changed)), PATIENT_S)

    def states(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.gateway.status()["backends"]}

    def both_up(self) -> None:
        until(lambda: set(self.states().values()) == {"up"}, PATIENT_S)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    if reason := available("ray"):
        pytest.skip(reason)
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with ExitStack() as left:
        out = Path(left.enter_context(tempfile.TemporaryDirectory(prefix="ig-ray-")), "out")
        ray = left.enter_context(cluster(out))
        left.enter_context(inside(ray.netns))
        it = left.enter_context(gateway("embedded", SERVE))
        it.run("deploy", "serve", "-o", str(out))
        for node in NODES:
            ray.start(node)
            if not ray.comes_up(node, PATIENT_S):
                pytest.skip("Ray gives its own processes 30 s to start, and they need more here")
        made = Stack(it, ray, it.new_key("explained", "--explain"))
        made.deploy(replicas=2)
        made.both_up()
        yield made


@dataclass
class Stream(threading.Thread):
    """A request that goes on while something happens. backend: known once its head is there."""

    stack: Stack
    words: int
    backend: str | None = None
    text: str = ""
    ended: bool = False

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        body = {
            "model": "big",
            "stream": True,
            "max_tokens": self.words,
            "messages": [{"role": "user", "content": "hi"}],
        }
        url = self.stack.gateway.url + "/v1/chat/completions"
        headers = {"Authorization": f"Bearer {self.stack.key}"}
        # A thread is in the namespace of the one that starts it.
        try:
            with httpx.stream("POST", url, json=body, headers=headers, timeout=120) as answer:
                self.backend = answer.headers["x-infergate-backend"]
                for piece in answer.iter_text():
                    self.text += piece
        except httpx.HTTPError as problem:
            self.text += f"\n{type(problem).__name__}"
        finally:
            self.ended = True


def streams(stack: Stack, words: int) -> Sequence[Stream]:
    """Streams at once, of which each has begun: so many that both nodes have one."""
    made: list[Stream] = []

    def one_more() -> bool:
        made.append(Stream(stack, words))
        made[-1].start()
        until(lambda: "data:" in made[-1].text or made[-1].ended, PATIENT_S)
        return {each.backend for each in made} >= {FIRST, SECOND}

    until(one_more, PATIENT_S)
    return made


def all_ended(made: Sequence[Stream]) -> None:
    until(lambda: all(each.ended for each in made), PATIENT_S)


def ask(stack: Stack) -> tuple[int, str]:
    """The status of a short request, and who answered."""
    body = {"model": "big", "messages": [{"role": "user", "content": "hi"}]}
    answer = stack.gateway.post("/v1/chat/completions", body, key=stack.key, timeout=120)
    return answer.status_code, answer.headers.get("x-infergate-backend", "")


def test_the_real_builder_of_llm_applications_understands_the_configuration(
    tmp_path: Path,
) -> None:
    """ray.serve.llm itself, with vLLM's packages: as far as it goes without a GPU."""
    for name in ("ray", "vllm"):
        if reason := available(name):
            pytest.skip(reason)
    sizes = "    tensor_parallel_size: 8\n    pipeline_parallel_size: 2\n    max_model_len: 32768\n"
    more = "    args: [--enable-prefix-caching, --max-num-seqs=64]\n"
    (tmp_path / "infergate.yaml").write_text(f"{SERVE.partition('health:')[0]}{sizes}{more}")
    config = tmp_path / "infergate.yaml"
    made = run_here(["deploy", "serve", "-o", str(tmp_path / "out"), "-c", str(config)], {})
    assert made.returncode == 0, made.stderr
    packages = next((CACHE / "vllm/lib").glob("python3*/site-packages"))
    ran = subprocess.run(
        [python_of("ray"), READS, tmp_path / "out/ray/ray_serve.yaml"],
        env={**os.environ, "PYTHONPATH": str(packages), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENT_S,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert json.loads(ran.stdout.splitlines()[-1]) == {
        "port": 8000,
        "proxies": "EveryNode",
        "models": [
            {
                "name": "big",
                "source": "Qwen/Qwen2.5-72B-Instruct",
                "tensor": 8,
                "pipeline": 2,
                "gpus": 16,
                "replicas": 2,
            }
        ],
    }


def test_streams_go_through_the_proxies_of_both_nodes(stack: Stack) -> None:
    made = streams(stack, 200)
    all_ended(made)
    for each in made:
        assert each.text.count("data: {") == 200
        assert each.text.rstrip().endswith("data: [DONE]")


def test_nobody_tells_ray_what_to_run_without_the_token(stack: Stack) -> None:
    url = "http://127.0.0.1:8265/api/serve/applications/"
    ask = stack.ray.on(NODES[0], "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url)
    told = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=120).stdout
    assert told == "401"


def test_a_node_that_drains_gets_nothing_new_and_finishes_its_streams(stack: Stack) -> None:
    stack.both_up()
    made = streams(stack, 600)
    stack.deploy(replicas=1)  # Ray keeps the one on its head; the other node has none then
    until(lambda: stack.states()[SECOND] != "up", PATIENT_S)
    assert [ask(stack) for _ in range(5)] == [(200, FIRST)] * 5
    all_ended(made)
    for each in made:
        assert each.text.rstrip().endswith("data: [DONE]"), each.text[-300:]
    stack.deploy(replicas=2)
    stack.both_up()


def test_a_killed_node_ends_its_streams_and_the_other_answers(stack: Stack) -> None:
    """The last one: the node does not come back."""
    stack.both_up()
    made = streams(stack, 2000)
    stack.ray.kill(NODES[1])
    cut = [each for each in made if each.backend == SECOND]
    all_ended(cut)
    assert not [each for each in cut if "[DONE]" in each.text], "none says that it is whole"
    until(lambda: stack.states()[SECOND] != "up", PATIENT_S)
    # Ray itself has to miss the node's replica first.
    until(lambda: [ask(stack) for _ in range(5)] == [(200, FIRST)] * 5, PATIENT_S)
    all_ended(made)
