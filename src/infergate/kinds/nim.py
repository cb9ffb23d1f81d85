"""NVIDIA NIM: https://docs.nvidia.com/nim/large-language-models/latest/reference/api-reference.html
It is vLLM, SGLang or TensorRT-LLM behind a proxy of its own."""

from __future__ import annotations

from infergate.kinds import vllm
from infergate.kinds.kind import Kind, Replies, paths
from infergate.kinds.work import WorkNames, histogram, read_metrics

NAMES = vllm.NAMES.besides(
    WorkNames(  # NIM 1.x's, which have no prefix
        running=("num_requests_running",),
        waiting=("num_requests_waiting",),
        kv_cache_use=("gpu_cache_usage_perc",),
        generation_tokens=("generation_tokens_total",),
        prompt_tokens=("prompt_tokens_total",),
        pulse=("gpu_cache_usage_perc",),
        first_tokens=(histogram("time_to_first_token_seconds"),),
        tokens=(histogram("time_per_output_token_seconds"),),
    )
)


def _is_nim(replies: Replies) -> bool:
    return replies["/v1/metadata"].has("modelInfo")


KIND = Kind(
    name="nim",
    title="NVIDIA NIM",
    letter="m",
    port=8000,
    image="nvcr.io/nim",
    port_option=None,  # its environment's NIM_SERVER_PORT
    also=("nvidia_nim",),
    asks=("/v1/metadata",),
    sign=_is_nim,
    imitates=True,  # its models are owned by the engine inside
    liveness_path="/v1/health/ready",
    version_path="/v1/metadata",
    work={"/v1/metrics": read_metrics(NAMES)},
    has=paths("/v1/chat/completions/render /v1/completions/render"),
    keeps_answers=True,
    counts_usage=True,
)
