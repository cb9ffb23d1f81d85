"""Asking one backend: is it up, what is it, which models does it have."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infergate.health import inventory
from infergate.health.ask import (
    NoAnswer,
    OurFault,
    ProbeAnswer,
    ProbeClient,
    Target,
    connect,
    get,
    make_client,
)
from infergate.health.inventory import Inventory, ModelInfo, Unreadable
from infergate.kinds import ASKED_FIRST, ASKED_THEN, KINDS, OTHER, Kind, KindName, Reply

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


async def probe(client: ProbeClient, target: Target) -> ProbeResult:
    """Ask a backend once whether it can take requests, in at most target.timeout_s.

    Never a completion, never a request that loads a model. Raises OurFault if this process could
    not ask at all.
    """
    if target.check == "tcp":
        connected = await connect(target)
        if isinstance(connected, NoAnswer):
            return ProbeResult(False, connected.reason, connected.latency_s)
        return ProbeResult(True, "it accepts connections", connected)
    kind = KINDS[target.kind or OTHER]
    path = kind.liveness_path if target.check == "auto" else target.check
    answer = await get(client, target, path)
    if isinstance(answer, NoAnswer):
        return ProbeResult(False, answer.reason, answer.latency_s)
    ok = _is_alive(answer, target, kind)
    return ProbeResult(ok, _reason(answer, path, kind), answer.latency_s, answer.status)


def _is_alive(answer: ProbeAnswer, target: Target, kind: Kind) -> bool:
    if target.check != "auto":
        return 200 <= answer.status < 300
    if kind.any_answer:
        return answer.status < 500 or answer.status == 501
    return answer.status == 200


def _reason(answer: ProbeAnswer, path: str, kind: Kind) -> str:
    if answer.status == 503 and b"oading model" in answer.body:  # llama.cpp: "Loading model"
        return "loading its model"
    reason = f"HTTP {answer.status} from {path}"
    if 200 <= answer.status < 300:
        return reason
    if path != kind.liveness_path:
        return f"{reason}: is health: {path} right?" if answer.status == 404 else reason
    if kind.any_answer:
        return reason
    if 300 <= answer.status < 400:
        return f"{reason}, a redirect: give the URL it leads to"
    if answer.status in (401, 403):
        return f"{reason}: it wants another api_key"
    if answer.status == 404:
        return f"{reason}: is engine: {kind.name} right?"
    return reason


async def identify(client: ProbeClient, target: Target) -> KindName | None:
    """What runs there; OTHER for what has none of the known signs.

    None: it has none of them, but left a question unanswered; worth asking again later.
    Two rounds of GETs, the second one only if the first was not enough. Then the kind is checked
    by its own liveness path: where that is not found, the backend could never be up as that kind.
    Raises OurFault.
    """
    answers = await _ask_all(client, target, ASKED_FIRST)
    name = _signed(answers, imitating=True) or inventory.owner(_json(answers["/v1/models"]))
    if name is None:
        answers |= await _ask_all(client, target, ASKED_THEN)
        name = _signed(answers, imitating=False)
    if name is None:
        silent = any(isinstance(a, NoAnswer) and a.timed_out for a in answers.values())
        return None if silent else OTHER
    checked = await probe(client, replace(target, kind=name, check="auto"))
    return OTHER if checked.status in NOT_FOUND else name


def _signed(answers: Mapping[str, ProbeAnswer | NoAnswer], *, imitating: bool) -> KindName | None:
    """The kind whose sign is in these answers."""
    replies = {
        path: Reply(answer.status, answer.body) if isinstance(answer, ProbeAnswer) else Reply()
        for path, answer in answers.items()
    }
    candidates = (kind for kind in KINDS.values() if kind.imitates is imitating)
    return next((kind.name for kind in candidates if kind.sign(replies)), None)


async def list_models(
    client: ProbeClient, target: Target, *, known_version: str | None = None
) -> Inventory | Unreadable:
    """The models of a backend whose kind is known (None: as "openai"), and its version.

    known_version: if given it is kept and not asked again. Raises OurFault.
    """
    kind = KINDS[target.kind or OTHER]
    answers = await _ask_all(
        client,
        target,
        tuple(
            dict.fromkeys(
                path
                for path in (
                    kind.models_path,
                    kind.loaded_path,
                    None if known_version else kind.version_path,
                )
                if path
            )
        ),
    )
    listing = answers[kind.models_path]
    if isinstance(listing, NoAnswer):
        return Unreadable(listing.reason)
    models = _models(kind, answers)
    if models is None:
        return Unreadable(_why_unreadable(listing, kind))
    version = known_version
    if version is None and kind.version_path:
        version = inventory.version(_json(answers[kind.version_path]))
    return Inventory(kind.name, version, models)


def _models(
    kind: Kind, answers: Mapping[str, ProbeAnswer | NoAnswer]
) -> tuple[ModelInfo, ...] | None:
    body = _json(answers[kind.models_path])
    if kind.listing == "ollama":
        running = _json(answers[kind.loaded_path]) if kind.loaded_path else None
        return inventory.ollama_models(body, running)
    if kind.listing == "tei":
        return inventory.tei_models(body)
    loaded = kind.loaded_names(_json(answers[kind.loaded_path])) if kind.loaded_path else None
    return inventory.openai_models(body, kind, loaded)


def _why_unreadable(listing: ProbeAnswer, kind: Kind) -> str:
    path = kind.models_path
    if listing.status != 200:
        if kind.unlisted and listing.status == 404:
            return f"HTTP 404 from {path}: {kind.unlisted}"
        return f"HTTP {listing.status} from {path}"
    return f"the answer of {path} is not a list of models"


async def _ask_all(
    client: ProbeClient, target: Target, paths: tuple[str, ...]
) -> dict[str, ProbeAnswer | NoAnswer]:
    answers = await asyncio.gather(*(get(client, target, path) for path in paths))
    return dict(zip(paths, answers, strict=True))


def _json(answer: ProbeAnswer | NoAnswer) -> object:
    """The JSON of an answer with status 200; None for everything else."""
    return answer.json() if isinstance(answer, ProbeAnswer) and answer.status == 200 else None
