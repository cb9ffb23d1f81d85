"""Asking one backend: is it up, what is it, which models does it have."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infergate.health import inventory
from infergate.health.ask import (
    Answer,
    Client,
    NoAnswer,
    OurFault,
    Target,
    connect,
    get,
    make_client,
)
from infergate.health.engines import PROFILES, EngineProfile, Kind
from infergate.health.inventory import Inventory, ModelInfo, Unreadable

__all__ = [
    "Inventory", "ModelInfo", "OurFault", "ProbeResult", "Target", "Unreadable",
    "identify", "list_models", "make_client", "probe",
]  # fmt: skip

NOT_FOUND = (404, 405)
"""What a server answers whose kind does not have the path that was asked."""


@dataclass(frozen=True)
class ProbeResult:
    """The outcome of one probe.

    reason: in plain words, also when it is ok ("HTTP 200 from /health").
    latency_s: until the answer was complete or the failure clear.
    status: the HTTP status, if there was an answer.
    """

    ok: bool
    reason: str
    latency_s: float
    status: int | None = None


async def probe(client: Client, target: Target) -> ProbeResult:
    """Ask a backend once whether it can take requests, in at most target.timeout_s.

    Never a completion, never a request that loads a model. Raises OurFault if this process could
    not ask at all.
    """
    if target.check == "tcp":
        connected = await connect(target)
        if isinstance(connected, NoAnswer):
            return ProbeResult(False, connected.reason, connected.latency_s)
        return ProbeResult(True, "it accepts connections", connected)
    profile = PROFILES[target.kind or "openai"]
    path = profile.liveness_path if target.check == "auto" else target.check
    answer = await get(client, target, path)
    if isinstance(answer, NoAnswer):
        return ProbeResult(False, answer.reason, answer.latency_s)
    ok = _is_alive(answer, target, profile)
    return ProbeResult(ok, _reason(answer, path, profile), answer.latency_s, answer.status)


def _is_alive(answer: Answer, target: Target, profile: EngineProfile) -> bool:
    if target.check != "auto":
        return 200 <= answer.status < 300
    if profile.any_answer:
        return answer.status < 500 or answer.status == 501
    return answer.status == 200


def _reason(answer: Answer, path: str, profile: EngineProfile) -> str:
    if answer.status == 503 and b"oading model" in answer.body:  # llama.cpp: "Loading model"
        return "loading its model"
    reason = f"HTTP {answer.status} from {path}"
    if 200 <= answer.status < 300:
        return reason
    if path != profile.liveness_path:
        return f"{reason}: is health: {path} right?" if answer.status == 404 else reason
    if profile.any_answer:
        return reason
    if 300 <= answer.status < 400:
        return f"{reason}, a redirect: give the URL it leads to"
    if answer.status in (401, 403):
        return f"{reason}: it wants another api_key"
    if answer.status == 404:
        return f"{reason}: is engine: {profile.kind} right?"
    return reason


async def identify(client: Client, target: Target) -> Kind | None:
    """What runs there; "openai" for what has none of the known signs.

    None: it has none of them, but left a question unanswered; worth asking again later.
    Two rounds of GETs, the second one only if the first was not enough. Then the kind is checked
    by its own liveness path: where that is not found, the backend could never be up as that kind.
    Raises OurFault.
    """
    answers = await _ask_all(client, target, ("/-/healthz", "/v1/models"))
    kind = _from_first_signs(answers)
    if kind is None:
        answers |= await _ask_all(client, target, _SECOND_ROUND)
        kind = _from_signs(answers)
    if kind is None:
        silent = any(isinstance(a, NoAnswer) and a.timed_out for a in answers.values())
        return None if silent else "openai"
    checked = await probe(client, replace(target, kind=kind, check="auto"))
    return "openai" if checked.status in NOT_FOUND else kind


_SECOND_ROUND = (
    "/api/version", "/api/tags", "/model_info", "/get_model_info", "/info", "/props", "/version",
    "/models",
)  # fmt: skip


def _from_first_signs(answers: Mapping[str, Answer | NoAnswer]) -> Kind | None:
    if _text(answers["/-/healthz"]).startswith(b"success"):
        return "ray"  # first: behind Ray's proxy another engine may write its own name
    return inventory.owner(_json(answers["/v1/models"]))


def _from_signs(answers: Mapping[str, Answer | NoAnswer]) -> Kind | None:
    """The kind from the answers of both rounds.

    The shape decides and not the status: LM Studio answers 200 to any path, with an error.
    """

    def has(path: str, *fields: str) -> bool:
        answer = _json(answers[path])
        return isinstance(answer, dict) and all(field in answer for field in fields)

    if has("/api/version", "version") and has("/api/tags", "models"):
        return "ollama"
    if has("/model_info", "model_path") or has("/get_model_info", "model_path"):
        return "sglang"
    if has("/info", "model_id", "model_type"):  # TGI's has no type, and speaks OpenAI's API
        return "tei"
    if has("/props", "default_generation_settings"):
        return "llamacpp"
    listing = answers["/v1/models"]
    wants_key = isinstance(listing, Answer) and listing.status == 401
    if wants_key and has("/version", "version"):
        return "vllm"  # started with --api-key: /v1/models is closed to us, /version open
    if inventory.owner(_json(answers["/models"])) == "infinity":
        return "infinity"  # without --url-prefix /v1
    return None


async def list_models(
    client: Client, target: Target, *, known_version: str | None = None
) -> Inventory | Unreadable:
    """The models of a backend whose kind is known (None: as "openai"), and its version.

    known_version: if given it is kept and not asked again. Raises OurFault.
    """
    profile = PROFILES[target.kind or "openai"]
    answers = await _ask_all(
        client,
        target,
        tuple(
            dict.fromkeys(
                path
                for path in (
                    profile.models_path,
                    profile.loaded_path,
                    None if known_version else profile.version_path,
                )
                if path
            )
        ),
    )
    listing = answers[profile.models_path]
    if isinstance(listing, NoAnswer):
        return Unreadable(listing.reason)
    models = _models(profile, answers)
    if models is None:
        return Unreadable(_why_unreadable(listing, profile))
    version = known_version
    if version is None and profile.version_path:
        version = inventory.version(_json(answers[profile.version_path]))
    return Inventory(profile.kind, version, models)


def _models(
    profile: EngineProfile, answers: Mapping[str, Answer | NoAnswer]
) -> tuple[ModelInfo, ...] | None:
    body = _json(answers[profile.models_path])
    if profile.listing == "ollama":
        running = _json(answers[profile.loaded_path]) if profile.loaded_path else None
        return inventory.ollama_models(body, running)
    if profile.listing == "tei":
        return inventory.tei_models(body)
    return inventory.openai_models(body, profile)


def _why_unreadable(listing: Answer, profile: EngineProfile) -> str:
    path = profile.models_path
    if listing.status != 200:
        if profile.kind == "infinity" and listing.status == 404:
            return f"HTTP 404 from {path}: start Infinity with --url-prefix /v1"
        return f"HTTP {listing.status} from {path}"
    return f"the answer of {path} is not a list of models"


async def _ask_all(
    client: Client, target: Target, paths: tuple[str, ...]
) -> dict[str, Answer | NoAnswer]:
    answers = await asyncio.gather(*(get(client, target, path) for path in paths))
    return dict(zip(paths, answers, strict=True))


def _json(answer: Answer | NoAnswer) -> object:
    """The JSON of an answer with status 200; None for everything else."""
    return answer.json() if isinstance(answer, Answer) and answer.status == 200 else None


def _text(answer: Answer | NoAnswer) -> bytes:
    return answer.body.strip() if isinstance(answer, Answer) and answer.status == 200 else b""
