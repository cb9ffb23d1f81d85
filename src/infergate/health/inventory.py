"""From an engine's listing of its models to our types. Pure: what came in is data to distrust."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from infergate.health.model_card import card
from infergate.health.ollama_entry import Room, is_count, known_fields
from infergate.kinds import KINDS, Kind, KindName
from infergate.shown import is_plain

MAX_MODELS = 2000
"""Models kept of one backend; a longer listing is cut. Ollama boxes have tens, hubs hundreds."""


@dataclass(frozen=True)
class ModelInfo:
    """One model of one backend.

    id: the name the backend knows it by.
    context_length: tokens it takes in one request, if the engine told.
    loaded: in memory now; None where the engine does not say.
    aliases: what the backend calls it besides (llama.cpp's `--alias a,b`).
    card: what an entry of /v1/models says besides, for the gateway's (model_card.py).
    tag: Ollama's own entry of /api/tags, for the gateway's /api/tags (ollama_entry.py).
    running: Ollama's own entry of /api/ps, while the model is loaded.
    """

    id: str
    context_length: int | None = None
    loaded: bool | None = None
    aliases: tuple[str, ...] = ()
    card: Mapping[str, Any] | None = field(default=None, compare=False)
    tag: Mapping[str, Any] | None = None
    running: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Inventory:
    """What one backend said about itself."""

    kind: KindName
    version: str | None = None
    models: tuple[ModelInfo, ...] = ()


@dataclass(frozen=True)
class Unreadable:
    """A listing that could not be read, with the reason in plain words."""

    reason: str


def openai_models(
    body: Any, kind: Kind, loaded: Collection[str] | None = None
) -> tuple[ModelInfo, ...] | None:
    """The models of an answer to /v1/models; None if it is no such answer.

    loaded: the names of those in memory, where the server says so elsewhere.
    """
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        return None
    room = Room()

    def of(entry: dict[str, Any]) -> ModelInfo:
        said = card(entry)
        return ModelInfo(
            entry["id"],
            context_length=_context_length(entry, kind),
            loaded=_loaded(entry, kind, loaded),
            aliases=tuple(name for name in said.get("aliases", ()) if name != entry["id"]),
            card=room.take(said),
        )

    return _unique(map(of, _entries(body["data"], "id")))


def steady(before: Iterable[ModelInfo], now: Iterable[ModelInfo]) -> tuple[ModelInfo, ...]:
    """The models as they are told now, each `created` when it was first said to be: vLLM and
    llama.cpp say the time of the question."""
    known = {each.id: each.card for each in before}

    def of(model: ModelInfo) -> ModelInfo:
        first = (known.get(model.id) or {}).get("created")
        if not first or model.card is None or "created" not in model.card:  # 0: not said
            return model
        return replace(model, card={**model.card, "created": first})

    return tuple(map(of, now))


def ollama_models(tags: Any, running: Any) -> tuple[ModelInfo, ...] | None:
    """The models of Ollama's /api/tags and /api/ps; None if the first is no such answer.

    running: the answer of /api/ps, or None if it could not be read: then nothing is said about
        what is loaded.
    """
    if not isinstance(tags, dict) or not isinstance(tags.get("models"), list):
        return None
    loaded: dict[str, dict[str, Any]] | None = None
    if isinstance(running, dict) and isinstance(running.get("models"), list | None):
        loaded = {entry["name"]: entry for entry in _entries(running.get("models") or [], "name")}
    in_tags, in_ps = Room(), Room()

    def of(entry: dict[str, Any]) -> ModelInfo:
        name: str = entry["name"]
        run = None if loaded is None else loaded.get(name)
        return ModelInfo(
            name,
            context_length=_count((run or {}).get("context_length")),
            loaded=None if loaded is None else run is not None,
            tag=in_tags.take(known_fields(entry, name)),
            running=in_ps.take(None if run is None else known_fields(run, name)),
        )

    return _unique(map(of, _entries(tags["models"], "name")))


def tei_models(info: Any) -> tuple[ModelInfo, ...] | None:
    """The one model of a Text Embeddings Inference server, from its /info."""
    for entry in _entries([info], "model_id"):
        length = _count(entry.get("max_input_length"))
        return (ModelInfo(entry["model_id"], length, loaded=True),)
    return None


def version(body: Any) -> str | None:
    """The version in an answer of /version, /api/version or /info."""
    found = body.get("version") if isinstance(body, dict) else None
    return found if isinstance(found, str) and _is_name(found) else None


_OWNERS = {kind.owned_by: kind.name for kind in KINDS.values() if kind.owned_by}


def owner(body: Any) -> KindName | None:
    """The kind that wrote its name into `owned_by` of the models it lists."""
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        return None
    for entry in _entries(body["data"], "id"):
        owned_by = entry.get("owned_by")
        if isinstance(owned_by, str) and owned_by in _OWNERS:
            return _OWNERS[owned_by]
    return None


def declared(names: Iterable[str], found: Iterable[ModelInfo]) -> tuple[ModelInfo, ...]:
    """The models written in the configuration, with what discovery knows about each."""
    known = {model.id: model for model in found}
    return tuple(known.get(name) or ModelInfo(name) for name in names)


def _entries(values: list[Any], name_field: str) -> list[dict[str, Any]]:
    """The entries that are objects with a usable name."""
    return [
        value
        for value in values[:MAX_MODELS]
        if isinstance(value, dict) and _is_name(value.get(name_field))
    ]


def _unique(models: Iterable[ModelInfo]) -> tuple[ModelInfo, ...]:
    return tuple({model.id: model for model in models}.values())


def _is_name(value: Any) -> bool:
    # The limits of a model name in the configuration (config.types.ModelName).
    return isinstance(value, str) and 0 < len(value) <= 256 and is_plain(value)


def _count(value: Any) -> int | None:
    return value if is_count(value) else None


def _context_length(entry: dict[str, Any], kind: Kind) -> int | None:
    lengths = (_count(_at(entry, way)) for way in kind.context)
    return next((length for length in lengths if length), None)


def _at(entry: dict[str, Any], way: str) -> Any:
    """What stands at `a.b` of an entry; None if there is no such place."""
    outer, _, inner = way.partition(".")
    found = entry.get(outer)
    if not inner:
        return found
    return found.get(inner) if isinstance(found, dict) else None


def _loaded(entry: dict[str, Any], kind: Kind, loaded: Collection[str] | None) -> bool | None:
    said = kind.loaded(entry)
    if said is None and loaded is not None:
        return entry["id"] in loaded
    return True if said is None and kind.keeps_loaded else said
