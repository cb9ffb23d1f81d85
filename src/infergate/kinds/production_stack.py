"""vLLM production-stack's router: https://docs.vllm.ai/projects/production-stack/
It has vLLMs behind it, and gives their models."""

from __future__ import annotations

from infergate.kinds.kind import Kind, Replies, paths
from infergate.kinds.work import WorkNames, read_metrics

# services/metrics_service of the router: what it has sent on. It moves with requests and not with
# tokens: there is no pulse.
NAMES = WorkNames(running=("vllm:num_requests_running",))


def _is_router(replies: Replies) -> bool:
    body = replies["/engines"].json
    return isinstance(body, list) and any(
        isinstance(entry, dict) and "engine_id" in entry and "serving_models" in entry
        for entry in body
    )


KIND = Kind(
    name="production-stack",
    title="vLLM production-stack",
    letter="k",
    port=8001,
    image="lmcache/lmstack-router",
    asks=("/engines",),
    sign=_is_router,
    imitates=True,  # its models are owned by vLLM
    liveness_path="/health",
    version_path="/version",
    work={"/metrics": read_metrics(NAMES)},
    has=paths("/rerank /score"),
    counts_usage=True,
)
