"""What does not fit together between the file, what backends have, and each other: in plain words.

None of it keeps a request from being answered; it says which answer may not be the one expected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from infergate.config.root import ANY_MODEL, Config
from infergate.health.inventory import Inventory, ModelInfo
from infergate.state.offered import offered
from infergate.state.route import LATEST

_HAVE = Mapping[str, list[tuple[str, Inventory, ModelInfo]]]
"""model → who has it, in the order of the configuration."""


def conflicts(config: Config, inventories: Mapping[str, Inventory]) -> tuple[str, ...]:
    """A sentence or two for each, with what to do."""
    have: dict[str, list[tuple[str, Inventory, ModelInfo]]] = defaultdict(list)
    inventories = offered(config, inventories)
    for backend in config.backends:
        if backend in inventories:
            for model in inventories[backend].models:
                have[model.id].append((backend, inventories[backend], model))
    return tuple(
        dict.fromkeys(
            (
                *_two_kinds(config, have),
                *_hidden_by_aliases(config, have),
                *_short_names(config, have),
                *_same_address(config),
                *_caught(config, have),
            )
        )
    )


def _two_kinds(config: Config, have: _HAVE) -> Iterator[str]:
    """One name for models that are probably not the same: on engines of different kinds, or with
    contexts of different length."""
    for name, holders in have.items():
        if name in config.models or not _serves_all(config):
            continue
        kinds = {backend: inventory.kind for backend, inventory, _ in holders}
        lengths = {b: model.context_length for b, _, model in holders if model.context_length}
        if len(set(kinds.values())) > 1:
            shown = _listed(f"{backend} ({kind})" for backend, kind in kinds.items())
            yield (
                f"{name!r} is on {shown}: requests for it go to all of them. "
                f"If they are not the same, say under models: who serves {name!r}."
            )
        elif len(set(lengths.values())) > 1:
            shown = _listed(f"{length:,} on {backend}" for backend, length in lengths.items())
            yield (
                f"{name!r} takes {shown} tokens: longer requests fail where it is shorter. "
                f"Say under models: who serves {name!r}."
            )


def _hidden_by_aliases(config: Config, have: _HAVE) -> Iterator[str]:
    for name, model in config.models.items():
        for alias in model.aliases:
            if alias in have and alias not in (
                name,
                model.upstream_name,
                *model.upstream_names.values(),
            ):
                owners = _listed(backend for backend, _, _ in have[alias])
                yield (
                    f"{alias!r} is an alias of {name!r}, so the model {alias!r} that {owners} "
                    "has cannot be asked for. Rename the alias if it should be."
                )


def _short_names(config: Config, have: _HAVE) -> Iterator[str]:
    """Ollama's `llama3:latest` is `llama3` too, unless another backend has one of that name."""
    if not _serves_all(config):
        return
    for name, holders in have.items():
        short = name.removesuffix(LATEST)
        others = [b for b, _, _ in have.get(short, ())] if short != name else []
        if others and any(inventory.kind == "ollama" for _, inventory, _ in holders):
            yield (
                f"{short!r} is the model of {_listed(others)}; that of {holders[0][0]} is asked "
                f"for as {name!r}."
            )


def _same_address(config: Config) -> Iterator[str]:
    """The file's own are told when it is read (config/references.py)."""
    at: dict[str, str] = {}
    for name, backend in config.backends.items():
        other = at.setdefault(backend.root_url, name)
        if other != name:
            yield (
                f"{other} and {name} are the same server ({backend.root_url}): it gets twice the "
                "requests. Take one of them out."
            )


def _caught(config: Config, have: _HAVE) -> Iterator[str]:
    """Models that nobody can ask for, because default_model answers instead."""
    if config.default_model is None or _serves_all(config):
        return
    named = set(config.models)
    for name, model in config.models.items():
        named |= {*model.aliases, model.upstream_name or name, *model.upstream_names.values()}
    for name, holders in have.items():
        if name not in named and name.removesuffix(LATEST) not in named:
            owners = _listed(backend for backend, _, _ in holders)
            yield (
                f"{name!r}, which {owners} has, is not named under models: requests for it go to "
                f"default_model {config.default_model!r}."
            )


def _serves_all(config: Config) -> bool:
    return not config.models or ANY_MODEL in config.models


def _listed(names: Iterator[str] | list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
