"""TensorRT-LLM's trtllm-serve:
https://nvidia.github.io/TensorRT-LLM/commands/trtllm-serve/trtllm-serve.html"""

from __future__ import annotations

from infergate.kinds.kind import ANTHROPICS, Kind
from infergate.kinds.work import WorkNames, histogram, read_metrics

# Nothing here moves with every token, so there is no pulse.
NAMES = WorkNames(
    running=("trtllm_num_requests_running",),
    waiting=("trtllm_num_requests_waiting",),
    kv_cache_use=("trtllm_kv_cache_utilization",),
    first_tokens=(histogram("trtllm_time_to_first_token_seconds"),),
    tokens=(histogram("trtllm_time_per_output_token_seconds"),),
)

KIND = Kind(
    name="trtllm",
    title="TensorRT-LLM",
    letter="n",
    port=8000,
    image="nvidia/tensorrt-llm",
    also=("tensorrt-llm", "tensorrt_llm"),
    owned_by="tensorrt_llm",
    liveness_path="/health",
    version_path="/version",
    # Not /metrics: that takes the statistics away from whoever reads them.
    work={"/prometheus/metrics": read_metrics(NAMES)},
    counts_usage=True,
    lacks=ANTHROPICS,
)
