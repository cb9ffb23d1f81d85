"""Hugging Face's Text Generation Inference:
https://huggingface.co/docs/text-generation-inference"""

from __future__ import annotations

from infergate.kinds.kind import CHAT_ALONE, Kind, Replies
from infergate.kinds.work import WorkNames, histogram, read_metrics

# https://huggingface.co/docs/text-generation-inference/reference/metrics
# What is counted by request moves when one is finished; the batches' count with each step.
NAMES = WorkNames(
    running=("tgi_batch_current_size",),
    waiting=("tgi_queue_size",),
    generation_tokens=("tgi_request_generated_tokens_sum",),
    prompt_tokens=("tgi_request_input_length_sum",),
    pulse=("tgi_batch_inference_count",),
    tokens=(histogram("tgi_request_mean_time_per_token_duration"),),
)


def _is_tgi(replies: Replies) -> bool:
    info = replies["/info"]
    return info.has("model_id", "max_total_tokens") and not info.has("model_type")


KIND = Kind(
    name="tgi",
    title="Text Generation Inference",
    letter="g",
    port=80,
    image="text-generation-inference",
    also=("text-generation-inference", "huggingface_tgi"),
    asks=("/info",),
    sign=_is_tgi,
    liveness_path="/health",
    version_path="/info",
    work={"/metrics": read_metrics(NAMES)},
    counts_usage=True,
    any_name=True,  # its clients write "tgi"
    lacks=CHAT_ALONE,
)
