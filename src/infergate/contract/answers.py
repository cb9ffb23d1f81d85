"""How answers that a model writes are asked for and told, by endpoint."""

from __future__ import annotations

from collections.abc import Mapping

LENGTHS = {
    "/v1/chat/completions": "max_tokens",
    "/v1/chat/completions/batch": "max_tokens",
    "/v1/completions": "max_tokens",
    "/v1/messages": "max_tokens",
    "/v1/responses": "max_output_tokens",
    "/api/chat": "num_predict",
    "/api/generate": "num_predict",
    "/infill": "n_predict",
    "/completion": "n_predict",
}
"""Where a model writes text as long as the request lets it → where the request says how long, in
Ollama's API in its `options`."""

STREAMS = {
    "/v1/chat/completions": "openai",
    "/v1/completions": "openai",
    "/v1/responses": "responses",
    "/v1/messages": "anthropic",
    "/api/chat": "ollama",
    "/api/generate": "ollama",
    "/infill": "llamacpp",
    "/completion": "llamacpp",
}
"""Whose streams have an end that is known → by whose words they end, and where the usage stands in
them (njs/usages.js)."""


def table(entries: Mapping[str, str]) -> str:
    """For njs, which has it as one text: to make an object costs a request more for each entry."""
    return "".join(f" {path}={word}" for path, word in entries.items()) + " "
