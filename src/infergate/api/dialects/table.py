"""Which endpoints are translated, to what, and what is lost on the way or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from infergate.api.dialects import chat, rerank
from infergate.api.dialects.anthropic import errors as anthropic_errors
from infergate.api.dialects.anthropic.translations import CountTokens, Messages
from infergate.api.dialects.ollama import settings as ollama_settings
from infergate.api.dialects.ollama.answer import error_shape as ollama_error
from infergate.api.dialects.ollama.embeddings import Embed, Embeddings
from infergate.api.dialects.ollama.models import Show
from infergate.api.dialects.ollama.translations import (
    COMPLETIONS,
    chat_translation,
    generate_translation,
)
from infergate.api.dialects.responses.translations import Responses
from infergate.api.dialects.translation import Body, Translation


@dataclass(frozen=True)
class Entry:
    """One endpoint. make: from headers (names in lower case) and body.

    target: the endpoint of OpenAI's API that a backend must have. lost: what does not come through
    though the request is answered. refused: what is answered with an error.
    """

    path: str
    target: str
    make: Callable[[Mapping[str, str], Body], Translation]
    lost: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


_ANTHROPIC_REFUSED = (
    "blocks and tools that Anthropic runs itself (`web_search_…`, `code_execution_…`), "
    "`container`, `mcp_servers`",
    "images and documents as files; documents by URL",
    "`temperature`, `top_p`, `top_k`, an assistant's documents, a user's citations with "
    "`anthropic-version: 2026-10-21`, as there",
)
_ANTHROPIC_LOST = (
    "`cache_control`: engines keep what they read by themselves",
    "citations: the answer has none",
    "`thinking.budget_tokens` becomes an effort (low below 4,096, medium below 16,384, else high), "
    "efforts above high become high; signatures of thoughts are empty, redacted ones left out",
    "system messages between others stand at the beginning",
    "`stop_sequence` is told where the server tells it (vLLM, SGLang), else `end_turn`",
    "`service_tier`, `inference_geo`, `speed`, `context_management`, `diagnostics`",
)

_OLLAMA_LOST = (
    f"of `options`: {ollama_settings.LOST}",
    "`keep_alive`: the server keeps its models as it was started to",
    "`logprobs`",
    "`think: true` leaves it to the model how much it thinks; `max` becomes high",
    "durations are as the gateway sees them; `load_duration` is 0",
)

_RERANK_LOST = ("`truncate`, `raw_scores`, `rank_fields`: scores are the server's",)
_RERANK_REFUSED = ("documents that are no text",)

ENTRIES = (
    Entry(
        "/v1/messages", Messages.target, Messages, lost=_ANTHROPIC_LOST, refused=_ANTHROPIC_REFUSED
    ),
    Entry(
        "/v1/messages/count_tokens",
        CountTokens.target,
        CountTokens,
        lost=("one token is generated, which counts as all tokens do",),
        refused=_ANTHROPIC_REFUSED,
    ),
    Entry("/api/chat", chat.PATH, chat_translation, lost=_OLLAMA_LOST),
    Entry(
        "/api/generate",
        f"{chat.PATH}`, `{COMPLETIONS}",
        generate_translation,
        lost=(
            *_OLLAMA_LOST,
            "`context` of the answer: there is none",
            "`suffix` where the server's `/v1/completions` does not read it",
        ),
        refused=("`template`, `context`", "`width`, `height`, `steps`"),
    ),
    Entry("/api/embed", Embed.target, Embed, lost=("`truncate`, `options`, `keep_alive`",)),
    Entry("/api/embeddings", Embeddings.target, Embeddings, lost=("`options`, `keep_alive`",)),
    Entry(
        "/api/show",
        "/v1/models/…",
        Show,
        lost=(
            "all but the context's length and when it was made: modelfile, template, family, size; "
            "`capabilities` has only `completion`",
        ),
    ),
    Entry(
        "/v1/responses",
        Responses.target,
        Responses,
        lost=(
            "`store` where the gateway keeps no [responses](responses.md): an answer cannot be "
            "asked for again, and says `store: false`",
            "system and developer messages between others stand at the beginning",
            "`reasoning.summary` and `encrypted_content`: what the model thinks is told as it is; "
            "efforts above high become high",
            "`include`, `top_logprobs`, `truncation`, `service_tier`, `text.verbosity`, "
            "`prompt_cache_key`, `safety_identifier`, `max_tool_calls`",
        ),
        refused=(
            "tools that are no functions (`web_search`, `mcp`, `custom`, …), and their items",
            "`conversation`, `prompt`; where the gateway keeps no [responses](responses.md), "
            "`previous_response_id`, `background` and items by their ids, too",
            "images and files by `file_id`, files by URL",
        ),
    ),
    Entry(
        rerank.COMMON,
        rerank.SHORT,
        partial(rerank.by_short_name, rerank.COMMON),
        lost=_RERANK_LOST,
        refused=_RERANK_REFUSED,
    ),
    Entry(
        rerank.SHORT,
        rerank.COMMON,
        partial(rerank.by_common_name, rerank.SHORT),
        lost=_RERANK_LOST,
        refused=(*_RERANK_REFUSED, "`texts` instead of `documents`"),
    ),
    Entry(
        rerank.COHERES,
        rerank.COMMON,
        partial(rerank.by_common_name, rerank.COHERES),
        lost=(*_RERANK_LOST, "`max_tokens_per_doc`, `meta.billed_units`"),
        refused=_RERANK_REFUSED,
    ),
)

BY_PATH = {entry.path: entry for entry in ENTRIES}


def translation(
    method: str, path: str, headers: Mapping[str, str], body: Body
) -> Translation | None:
    """The one for a request; None where nothing is translated. headers: names in lower case.

    Raises Refused for what cannot be had.
    """
    entry = BY_PATH.get(path)
    return entry.make(headers, body) if entry is not None and method == "POST" else None


def error(path: str, status: int, error: Mapping[str, Any]) -> tuple[int, Body]:
    """An error of the gateway or a backend in the shape of the endpoint's dialect: status, body.

    error: OpenAI's, without its wrapping, as `Refused.error` is; any of it may be missing.
    """
    if path.startswith("/v1/messages"):
        return status, anthropic_errors.shape(status, error)
    if path.startswith("/api/"):
        return status, ollama_error(error)
    return status, {"error": dict(error)}
