"""The paths of the API and how each is treated. One place, rendered into one location each."""

from __future__ import annotations

JSON_PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/rerank",
    "/v1/score",
    "/v1/audio/speech",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/tokenize",
    "/detokenize",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
)
"""POST with a JSON object whose `model` decides; /api/… only to Ollama backends."""

FORM_PATHS = ("/v1/audio/transcriptions", "/v1/audio/translations")
"""POST with multipart/form-data whose `model` field decides."""

HEDGED_PATHS = {
    "/v1/embeddings": "embeddings",
    "/api/embed": "embeddings",
    "/api/embeddings": "embeddings",
    "/v1/rerank": "rerank",
    "/v1/score": "rerank",
}
"""Where `hedge` asks a second backend, and of which kind each is: answers of one kind take about as
long. Only what has no effect but its answer, and what is short enough to be asked twice."""

KEPT_PATHS = tuple(HEDGED_PATHS)
"""Where `cache` keeps answers: what has no effect but its answer."""

KEPT_COMPLETIONS = ("/v1/chat/completions", "/v1/completions")
"""Where it does so too if it is asked for completions."""

LIST_PATHS = ("/v1/models", "/api/tags", "/api/ps", "/api/version")
"""GET; answered by the gateway from what the control plane discovered."""

MANAGE_PATHS = ("/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete")
"""Change what an Ollama box holds; only for keys that may manage."""
"""https://github.com/ollama/ollama/blob/main/docs/api.md lists Ollama's paths."""
