"""Triton Inference Server's OpenAI-compatible frontend:
https://github.com/triton-inference-server/server/tree/main/python/openai"""

from __future__ import annotations

from infergate.kinds.kind import CHAT_ALONE, Kind
from infergate.kinds.work import WorkNames, read_metrics

# https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md
# A stream is one execution, however long: there is no pulse.
NAMES = WorkNames(waiting=("nv_inference_pending_request_count",))

KIND = Kind(
    name="triton",
    title="Triton Inference Server",
    letter="j",
    port=9000,
    image="nvidia/tritonserver",
    port_option="--openai-port",
    owned_by="Triton Inference Server",
    liveness_path="/health/ready",
    work={"/metrics": read_metrics(NAMES)},
    lacks=CHAT_ALONE,
)
