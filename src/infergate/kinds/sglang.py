"""SGLang: https://docs.sglang.ai/"""

from __future__ import annotations

from infergate.kinds.kind import COMPLETIONS_GO_ON, Kind, Replies, paths
from infergate.kinds.work import WorkNames, histogram, read_metrics

# The token counters move when a request is finished; what its scheduler logs every 40 steps
# (--decode-log-interval) moves while one runs.
NAMES = WorkNames(
    running=("sglang:num_running_reqs",),
    waiting=("sglang:num_queue_reqs",),
    kv_cache_use=("sglang:token_usage",),
    kv_cache_tokens=("sglang:max_total_num_tokens",),
    generation_tokens=("sglang:generation_tokens_total",),
    prompt_tokens=("sglang:prompt_tokens_total",),
    pulse=(
        "sglang:realtime_tokens_total",
        "sglang:num_used_tokens",
        "sglang:token_usage",
        "sglang:gen_throughput",
    ),
    first_tokens=(histogram("sglang:time_to_first_token_seconds"),),
    tokens=(
        histogram("sglang:inter_token_latency_seconds"),
        histogram("sglang:time_per_output_token_seconds"),
    ),
)


def _is_sglang(replies: Replies) -> bool:
    return any(replies[path].has("model_path") for path in ("/model_info", "/get_model_info"))


KIND = Kind(
    name="sglang",
    title="SGLang",
    letter="s",
    port=30000,
    image="lmsysorg/sglang",
    owned_by="sglang",
    asks=("/model_info", "/get_model_info"),
    sign=_is_sglang,
    # Not /health: it generates a token for that and answers after one second at the earliest,
    # unless started with SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION=0.
    liveness_path="/v1/models",
    work={"/metrics": read_metrics(NAMES)},  # needs --enable-metrics
    has=paths("/classify /v1/images/generations /v1/images/edits"),
    keeps_answers=True,
    counts_usage=True,
    # https://github.com/sgl-project/sglang/pull/4226
    continues={**COMPLETIONS_GO_ON, "/v1/chat/completions": {"continue_final_message": True}},
)
