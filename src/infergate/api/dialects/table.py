"""Which endpoints are translated, to what, and what is lost on the way or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infergate.api.dialects.anthropic import errors as anthropic_errors
from infergate.api.dialects.anthropic.translations import CountTokens, Messages
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
)

_BY_PATH = {entry.path: entry for entry in ENTRIES}


def translation(
    method: str, path: str, headers: Mapping[str, str], body: Body
) -> Translation | None:
    """The one for a request; None where nothing is translated. headers: names in lower case.

    Raises Refused for what cannot be had.
    """
    entry = _BY_PATH.get(path)
    return entry.make(headers, body) if entry is not None and method == "POST" else None


def error(path: str, status: int, error: Mapping[str, Any]) -> tuple[int, Body]:
    """An error of the gateway or a backend in the shape of the endpoint's dialect: status, body.

    error: OpenAI's, without its wrapping, as `Refused.error` is; any of it may be missing.
    """
    if path.startswith("/v1/messages"):
        return status, anthropic_errors.shape(status, error)
    return status, {"error": dict(error)}
