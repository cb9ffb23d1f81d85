"""Ollama: https://github.com/ollama/ollama/blob/main/docs/api.md"""

from __future__ import annotations

from infergate.kinds.kind import CHATS_GO_ON, COUNT_TOKENS, Kind, Replies


def _is_ollama(replies: Replies) -> bool:
    return replies["/api/version"].has("version") and replies["/api/tags"].has("models")


KIND = Kind(
    name="ollama",
    title="Ollama",
    letter="o",
    port=11434,
    image="ollama/ollama",
    port_option=None,  # its environment's OLLAMA_HOST
    also=("ollama_chat",),
    asks=("/api/version", "/api/tags"),
    sign=_is_ollama,
    # None of these loads a model; /api/ps has what is in memory.
    liveness_path="/api/version",
    models_path="/api/tags",
    listing="ollama",
    loaded_path="/api/ps",
    keeps_loaded=False,
    version_path="/api/version",
    lacks=COUNT_TOKENS,  # https://docs.ollama.com/api/anthropic-compatibility
    counts_usage=True,
    # https://github.com/ollama/ollama/issues/6778. Its completions put the prompt into a template.
    continues=CHATS_GO_ON,
)
