"""Ray Serve: https://docs.ray.io/en/latest/serve/"""

from __future__ import annotations

from infergate.kinds.kind import CHAT_ALONE, Kind, Replies


def _is_ray(replies: Replies) -> bool:
    answer = replies["/-/healthz"]
    return answer.status == 200 and answer.body.strip().startswith(b"success")


KIND = Kind(
    name="ray",
    title="Ray Serve",
    letter="r",
    port=8000,
    asks=("/-/healthz",),
    sign=_is_ray,
    imitates=True,  # behind its proxy another engine may write its own name
    liveness_path="/-/healthz",  # of each node's proxy: "success", or 503 while it drains
    lacks=CHAT_ALONE,  # https://docs.ray.io/en/latest/serve/llm: its ingress' endpoints
)
