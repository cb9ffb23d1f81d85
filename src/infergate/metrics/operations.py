"""What a path asks a model for, in the words of the conventions (gen_ai.operation.name)."""

from __future__ import annotations

_PATHS = {
    "chat": "/v1/chat/completions /v1/messages /v1/responses /api/chat /v1/chat/completions/batch",
    "text_completion": "/v1/completions /api/generate /completion /infill",
    "embeddings": "/v1/embeddings /api/embed /api/embeddings /embedding /v2/embed /pooling",
    "rerank": "/v1/rerank /rerank /v2/rerank /reranking /v1/reranking /v1/score /score",
}
"""rerank is ours: the conventions have no word for it yet."""

_OPERATIONS = {path: name for name, paths in _PATHS.items() for path in paths.split()}

OTHERS = "other"


def operation(path: str) -> str:
    """chat, text_completion, embeddings, rerank, or other."""
    return _OPERATIONS.get(path, OTHERS)
