"""vLLM: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""

from __future__ import annotations

from infergate.kinds.kind import CHATS_GO_ON_IF_TOLD, COMPLETIONS_GO_ON, Kind, Replies, paths
from infergate.kinds.work import CacheInfo, WorkNames, histogram, read_metrics

NAMES = WorkNames(
    running=("vllm:num_requests_running",),
    waiting=("vllm:num_requests_waiting",),
    # The second name is an older vLLM's. It is part of the pulse because the token counters stand
    # still while a long prompt is read in pieces.
    kv_cache_use=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    kv_cache=(
        CacheInfo(
            "vllm:cache_config_info", "num_gpu_blocks", "block_size", "enable_prefix_caching"
        ),
    ),
    generation_tokens=("vllm:generation_tokens_total",),
    prompt_tokens=("vllm:prompt_tokens_total",),
    pulse=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    first_tokens=(histogram("vllm:time_to_first_token_seconds"),),
    tokens=(
        histogram("vllm:inter_token_latency_seconds"),
        histogram("vllm:time_per_output_token_seconds"),  # until 0.10
    ),
)


def _wants_key(replies: Replies) -> bool:
    """Started with --api-key: /v1/models is closed to us, /version open."""
    return replies["/v1/models"].status == 401 and replies["/version"].has("version")


KIND = Kind(
    name="vllm",
    title="vLLM",
    letter="v",
    port=8000,
    image="vllm/vllm-openai",
    also=("hosted_vllm",),
    owned_by="vllm",
    asks=("/version",),
    sign=_wants_key,
    liveness_path="/health",  # 503 once the engine process is dead; open even with --api-key
    version_path="/version",
    work={"/metrics": read_metrics(NAMES)},
    has=paths(
        "/rerank /v2/rerank /score /pooling /v2/embed /classify /v1/chat/completions/batch",
        "/v1/chat/completions/render /v1/completions/render /v1/realtime",
    ),
    keeps_answers=True,
    counts_usage=True,
    continues={**COMPLETIONS_GO_ON, **CHATS_GO_ON_IF_TOLD},
)
