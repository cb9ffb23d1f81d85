"""llama.cpp's server: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from infergate.kinds.kind import CHATS_GO_ON_IF_TOLD, COMPLETIONS_GO_ON, Kind, Replies, paths
from infergate.kinds.work import Work, WorkNames, read_metrics

# tokens_predicted_total moves when a request is finished, n_decode_total with every batch. Recent
# builds have no kv_cache_usage_ratio.
NAMES = WorkNames(
    running=("llamacpp:requests_processing",),
    waiting=("llamacpp:requests_deferred",),
    kv_cache_use=("llamacpp:kv_cache_usage_ratio",),
    generation_tokens=("llamacpp:tokens_predicted_total",),
    prompt_tokens=("llamacpp:prompt_tokens_total",),
    pulse=("llamacpp:n_decode_total",),
    tokens=(("llamacpp:tokens_predicted_seconds_total", "llamacpp:tokens_predicted_total"),),
)


def read_slots(text: str) -> Work | None:
    """The work told by /slots, which is there without --metrics; None if it is not.

    It says nothing of a queue. The prompts that old builds write there are not kept.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, list) or not all(isinstance(slot, dict) for slot in body):
        return None
    busy = [slot for slot in body if slot.get("is_processing") is True]
    return Work(
        running=len(busy),
        kv_cache_tokens=_context(body),
        pulse=tuple(number for slot in busy for number in _progress(slot)),
    )


_LARGEST_CONTEXT = 2**40


def _context(slots: Iterable[Mapping[str, Any]]) -> int | None:
    """Tokens that all of them hold; each has a cache of its own."""
    told = (slot.get("n_ctx") for slot in slots)
    known = (each for each in told if isinstance(each, int) and not isinstance(each, bool))
    return sum(each for each in known if 0 < each < _LARGEST_CONTEXT) or None


def _progress(slot: Mapping[str, Any]) -> Iterable[float]:
    following = slot.get("next_token")
    following = following[0] if isinstance(following, list) and following else following
    decoded = following.get("n_decoded") if isinstance(following, dict) else None
    for value in (slot.get("id_task"), slot.get("n_prompt_tokens_processed"), decoded):
        yield value if isinstance(value, int) else -1


def _loaded(entry: Mapping[str, Any]) -> bool | None:
    """Its router mode tells by model ("sleeping" has no weights in memory, PR 20849)."""
    status = entry.get("status")
    value = status.get("value") if isinstance(status, dict) else None
    return value == "loaded" if isinstance(value, str) else None


def _is_llamacpp(replies: Replies) -> bool:
    return replies["/props"].has("default_generation_settings")


KIND = Kind(
    name="llamacpp",
    title="llama.cpp",
    letter="l",
    port=8080,
    image="llama.cpp",
    also=("llama-cpp", "llama.cpp"),
    owned_by="llamacpp",
    asks=("/props",),
    sign=_is_llamacpp,
    # /health is 503 while the model loads. /health and /v1/models neither wake a server asleep by
    # --sleep-idle-seconds nor reset its timer (its README, "Sleeping on Idle"); /slots does, and
    # /metrics did until August 2026 (issue 20227, PR 27376).
    liveness_path="/health",
    loaded=_loaded,
    keeps_loaded=False,
    work={"/metrics": read_metrics(NAMES), "/slots": read_slots},  # the first needs --metrics
    work_wakes=True,
    has=paths(
        "/rerank /reranking /v1/reranking /infill /completion /embedding /apply-template",
        "/v1/responses/input_tokens /v1/chat/completions/input_tokens",
    ),
    counts_usage=True,
    any_name=True,
    # Without being told it goes on, too, and says the text again from its beginning.
    continues={**COMPLETIONS_GO_ON, **CHATS_GO_ON_IF_TOLD},
)
