"""How large a model is, for how long its answers may take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from infergate.config.model_size import billions, in_name
from infergate.health.inventory import ModelInfo


def size_of(names: Iterable[str], told: Iterable[ModelInfo]) -> float | None:
    """In billions of parameters: what its engines say, or else what its names do.

    names: of the model, here and at its backends. told: what its backends say of it.
    """
    known = tuple(told)
    said = (each for info in known for each in _said(info))
    if size := max(said, default=None):
        return size
    roots = (info.card["root"] for info in known if info.card and "root" in info.card)
    found = (size for name in (*names, *roots) if (size := in_name(name)))
    return max(found, default=None)


def _said(info: ModelInfo) -> Iterable[float]:
    """Ollama: details.parameter_size, "32.8B"; llama.cpp: meta.n_params, a number."""
    size = billions(str(_field(info.tag, "details").get("parameter_size", "")))
    if size:
        yield size
    count = _field(info.card, "meta").get("n_params")
    if isinstance(count, int) and count > 0:
        yield count / 1e9


def _field(entry: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    found = (entry or {}).get(name)
    return found if isinstance(found, Mapping) else {}
