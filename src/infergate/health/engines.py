"""How each engine kind is asked: one row per kind, so "how is vLLM probed" is one look.

Every request is a GET that the engine answers from what it has in memory. Nothing here runs a
completion or an embedding, and nothing loads or wakes a model; that rules out a few paths that
look harmless, named at the rows they concern.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["vllm", "ollama", "llamacpp", "sglang", "tei", "infinity", "ray", "openai"]
"""The kinds of `infergate.config.backends.EngineKind` without "auto"."""

Listing = Literal["openai", "ollama", "tei"]
"""The shape of an engine's answer about its models; `inventory` reads them."""


@dataclass(frozen=True)
class EngineProfile:
    """How one kind of engine is asked.

    liveness_path: the GET that says it can take requests.
    any_answer: every status below 500, and 501, counts as alive; otherwise only 200 does.
    models_path, listing: where its models are listed, and in which shape.
    loaded_path: where it says which of them are in memory; None if there is no such place.
    version_path: a JSON object with its version; None if there is no such place.
    keeps_loaded: every listed model is in memory for as long as the engine runs.
    work_paths: where it says what it works on (`metrics` reads it); the first that is there counts.
    work_wakes: asking that wakes or keeps awake an engine that sleeps when it is idle, so it is
        asked only while requests of ours are there.
    """

    kind: Kind
    liveness_path: str
    models_path: str = "/v1/models"
    listing: Listing = "openai"
    any_answer: bool = False
    loaded_path: str | None = None
    version_path: str | None = None
    keeps_loaded: bool = True
    work_paths: tuple[str, ...] = ()
    work_wakes: bool = False


PROFILES: Mapping[Kind, EngineProfile] = MappingProxyType(
    {
        profile.kind: profile
        for profile in (
            # /health: 200, or 503 once the engine process is dead. Open even with --api-key.
            EngineProfile("vllm", "/health", version_path="/version", work_paths=("/metrics",)),
            # /api/version, /api/tags and /api/ps load nothing. /api/ps has what is in memory.
            EngineProfile(
                "ollama",
                "/api/version",
                models_path="/api/tags",
                listing="ollama",
                loaded_path="/api/ps",
                version_path="/api/version",
                keeps_loaded=False,
            ),
            # /health is 503 while the model loads. /health and /v1/models neither wake a server
            # asleep by --sleep-idle-seconds nor reset its timer (llama.cpp's server README,
            # "Sleeping on Idle"); /slots does, and /metrics did until August 2026 (issue 20227, PR
            # 27376). /metrics needs --metrics; /slots is there by default.
            # In router mode the listing has a status per model.
            EngineProfile(
                "llamacpp",
                "/health",
                keeps_loaded=False,
                work_paths=("/metrics", "/slots"),
                work_wakes=True,
            ),
            # Not /health: SGLang generates a token for it and answers after one second at the
            # earliest, unless started with SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION=0.
            # /metrics needs --enable-metrics.
            EngineProfile("sglang", "/v1/models", work_paths=("/metrics",)),
            EngineProfile(
                "tei",
                "/health",
                models_path="/info",
                listing="tei",
                version_path="/info",
                work_paths=("/metrics",),
            ),
            # /v1/models needs Infinity's --url-prefix /v1; so do the clients' paths.
            EngineProfile("infinity", "/health"),
            # The proxy of each Ray Serve node: "success", or 503 while it drains.
            EngineProfile("ray", "/-/healthz"),
            # Anything else that speaks OpenAI's API, from LM Studio to another gateway. Many ask
            # for a key or have no listing: an answer of any kind says that it is there.
            EngineProfile("openai", "/v1/models", any_answer=True, keeps_loaded=False),
        )
    }
)

OWNED_BY: Mapping[str, Kind] = MappingProxyType(
    {"vllm": "vllm", "llamacpp": "llamacpp", "sglang": "sglang", "infinity": "infinity"}
)
"""What engines write into `owned_by` of the models they list, and the kind that tells."""
