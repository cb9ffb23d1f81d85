"""The paths of the API and how each is treated. One place, rendered into one location each."""

from __future__ import annotations

from collections.abc import Mapping

from infergate.contract.answers import LENGTHS
from infergate.kinds import KINDS

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


def _kinds_with(*paths: str) -> Mapping[str, frozenset[str]]:
    return {
        path: frozenset(name for name, kind in KINDS.items() if path in kind.has) for path in paths
    }


SOME_HAVE = _kinds_with(
    *("/rerank", "/v2/rerank", "/score", "/pooling", "/v2/embed", "/classify"),
    *("/v1/chat/completions/batch", "/v1/chat/completions/render", "/v1/completions/render"),
    *("/reranking", "/v1/reranking", "/infill", "/completion", "/embedding", "/apply-template"),
    *("/v1/responses/input_tokens", "/v1/chat/completions/input_tokens"),
    *("/v1/images/generations", "/v1/moderations"),
)
"""As JSON_PATHS, but only servers of these kinds have it (infergate.kinds), "openai" being any
other server of that API. Where a model is served by none of them, it is 404."""

SOME_HAVE_FORMS = _kinds_with("/v1/images/edits", "/v1/images/variations")
"""The same of FORM_PATHS."""

WEBSOCKETS = _kinds_with("/v1/realtime")
"""GET with an Upgrade; the address says the model."""

KEEPERS = frozenset(name for name, kind in KINDS.items() if kind.keeps_answers)
"""Who keeps answers of /v1/responses, to be asked for below STORED by their ids."""

STORED = "/v1/responses/"

OLLAMA_HAS = tuple(path for path in JSON_PATHS if path.startswith("/api/"))
"""The inference endpoints that only Ollama has; for others the dialect is wrong: 400."""

GENERATING = tuple(LENGTHS)
"""Whose answers are text that a model writes, as long as the request lets it."""

MEDIA = (*FORM_PATHS, *SOME_HAVE_FORMS, "/v1/images/generations")
"""Sounds and pictures, which take long, and nothing in the request says how long."""

COUNTED = (
    "/rerank /v2/rerank /reranking /score /pooling /classify /v2/embed /infill /completion"
    " /embedding"
)
"""Besides /v1/…: where a model works, so that an answer uses tokens."""

TEXTLESS = (
    "/rerank /v2/rerank /reranking /v1/reranking /score /pooling /classify /v2/embed /embedding"
    " /v1/audio/speech /v1/moderations /v1/images/generations /v1/images/edits"
    " /v1/images/variations"
)
"""Whose answers are no text that a model wrote: vectors, scores, sounds, pictures."""

HEALTH_PATHS = ("/health", "/v1/health", "/ping")
"""What health checks and clients of engines ask; here that the gateway answers."""

OUR_HEALTH = ("/healthz", "/readyz")
"""Whether the gateway answers at all, and whether each model has a backend."""

LIST_PATHS = ("/v1/models", "/api/tags", "/api/ps", "/api/version", "/version")
"""GET; answered by the gateway from what the control plane discovered."""

BLOBS = "/api/blobs/"
"""HEAD and POST with a file of a model, for one Ollama box; as MANAGE_PATHS."""

MANAGE_PATHS = ("/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete")
"""Change what an Ollama box holds; only for keys that may manage."""
"""https://github.com/ollama/ollama/blob/main/docs/api.md lists Ollama's paths."""

INFERENCE = (*JSON_PATHS, *FORM_PATHS, *SOME_HAVE, *SOME_HAVE_FORMS)
"""Where a model is asked for."""

WITHOUT_V1 = tuple(
    path.removeprefix("/v1/")
    for path in (*INFERENCE, "/v1/models")
    if path.startswith("/v1/") and path.removeprefix("/v1") not in SOME_HAVE
)
"""What stands behind /v1/ may stand without it: whoever writes a base URL forgets it, and llama.cpp
has most of them so. Not where that is another path, as /rerank is."""

PATHS = frozenset((*INFERENCE, *WEBSOCKETS, *LIST_PATHS, *MANAGE_PATHS, *HEALTH_PATHS, *OUR_HEALTH))
"""All that have a location of their own, but for those below /v1/models/, STORED and BLOBS."""

_FOLDERS = ("/v1/", "/api/", "/tokenize/", "/detokenize/", "/healthz/", "/readyz/", "/metrics/")


def own_folder(path: str) -> str | None:
    """The gateway's own folder that this path of a service, with its last slash, is in or is; None
    where it is free."""
    if path[:-1] in PATHS:
        return path
    return next((folder for folder in _FOLDERS if path.startswith(folder)), None)
