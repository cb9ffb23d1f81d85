"""Which paths the API tier translates, where no backend of a model has them (api/dialects/)."""

from __future__ import annotations

TRANSLATED = (
    *("/v1/messages", "/v1/messages/count_tokens", "/v1/responses"),
    *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"),
    *("/v1/rerank", "/rerank", "/v2/rerank"),
)
"""njs hands a request for one of these over, and api/dialects/table.py has a translation."""
