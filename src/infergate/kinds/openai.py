"""Anything else that speaks OpenAI's API, from a small server to another gateway."""

from __future__ import annotations

from infergate.kinds.kind import Kind, paths

KIND = Kind(
    name="openai",
    title="other servers of OpenAI's API",
    letter="a",
    # Many ask for a key or have no listing: an answer of any kind says that it is there.
    liveness_path="/v1/models",
    any_answer=True,
    keeps_loaded=False,
    has=paths(
        "/v1/responses/input_tokens /v1/chat/completions/input_tokens /v1/moderations",
        "/v1/images/generations /v1/images/edits /v1/images/variations /v1/realtime",
    ),
    keeps_answers=True,
)
