"""LMDeploy's api_server: https://lmdeploy.readthedocs.io/en/latest/llm/api_server.html"""

from __future__ import annotations

from infergate.kinds.kind import CHATS_GO_ON, COMPLETIONS_GO_ON, Kind
from infergate.kinds.work import WorkNames, histogram, read_metrics

# lmdeploy/metrics/loggers.py; the counters move with every step.
NAMES = WorkNames(
    running=("lmdeploy:num_requests_running",),
    waiting=("lmdeploy:num_requests_waiting",),
    kv_cache_use=("lmdeploy:gpu_cache_usage_perc",),
    generation_tokens=("lmdeploy:generation_tokens_total",),
    prompt_tokens=("lmdeploy:prompt_tokens_total",),
    pulse=("lmdeploy:gpu_cache_usage_perc",),
    first_tokens=(histogram("lmdeploy:time_to_first_token_seconds"),),
    tokens=(histogram("lmdeploy:time_per_output_token_seconds"),),
)

KIND = Kind(
    name="lmdeploy",
    title="LMDeploy",
    letter="d",
    port=23333,
    image="openmmlab/lmdeploy",
    port_option="--server-port",
    owned_by="lmdeploy",
    liveness_path="/health",
    work={"/metrics": read_metrics(NAMES)},  # needs --enable-metrics
    counts_usage=True,
    # https://github.com/InternLM/lmdeploy/issues/2798
    continues={**COMPLETIONS_GO_ON, **CHATS_GO_ON},
)
