"""Hugging Face's Text Embeddings Inference:
https://huggingface.co/docs/text-embeddings-inference"""

from __future__ import annotations

from infergate.kinds.kind import NO_TEXT, Kind, Replies, paths
from infergate.kinds.work import WorkNames, read_metrics

NAMES = WorkNames(
    waiting=("te_queue_size",),
    pulse=("te_request_success", "te_embed_success", "te_predict_success"),
)


def _is_tei(replies: Replies) -> bool:
    return replies["/info"].has("model_id", "model_type")  # TGI's has no type


KIND = Kind(
    name="tei",
    title="Text Embeddings Inference",
    letter="t",
    port=80,
    image="text-embeddings-inference",
    asks=("/info",),
    sign=_is_tei,
    liveness_path="/health",
    models_path="/info",
    listing="tei",
    version_path="/info",
    work={"/metrics": read_metrics(NAMES)},
    has=paths("/rerank"),
    any_name=True,
    lacks=NO_TEXT,
)
