"""The configuration as it holds now: the file, what discovery found, what operators changed. Pure.

A change by an operator holds until the file says something else about the same thing than it did
then: so neither of the two silently undoes the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from infergate.config.backends import AddedBackend, Backend, FoundBackend
from infergate.config.models import Model
from infergate.config.root import Config

What = Literal["weight", "add", "remove"]

Found = Mapping[str, Sequence[FoundBackend]]
"""group → its backends."""


@dataclass(frozen=True)
class Change:
    """One thing that an operator changed of one backend.

    value: the weight; for "add" the settings, for "remove" nothing.
    instead_of: what the file (or discovery) said then; None where it said nothing.
    at: Unix seconds; who: user@host.
    """

    backend: str
    what: What
    value: Mapping[str, Any]
    instead_of: Mapping[str, Any] | None
    at: int
    who: str


def in_force(config: Config, found: Found, changes: Iterable[Change]) -> Config:
    """The configuration with groups replaced by their backends, and with the changes that hold.

    A model may be left without backends; requests for it are answered 503.
    """
    expanded = with_found(config, found)
    held = [change for change in changes if holds(change, expanded)]
    removed = {change.backend for change in held if change.what == "remove"}
    backends = {name: each for name, each in expanded.backends.items() if name not in removed}
    for change in held:
        if change.what == "add" and (backend := _added(change)) is not None:
            backends[change.backend] = backend
    for change in held:
        if change.what == "weight" and change.backend in backends:
            there = backends[change.backend]
            backends[change.backend] = there.model_copy(update=dict(change.value))
    models = _without(expanded.models, removed) if removed else expanded.models
    return expanded.model_copy(update={"backends": backends, "models": models})


def with_found(config: Config, found: Found) -> Config:
    """The configuration with each group replaced by what was found of it, but for what has the
    name of another backend."""
    groups = [name for name, each in config.backends.items() if each.discover is not None]
    if not groups:
        return config
    backends = {name: each for name, each in config.backends.items() if name not in groups}
    taken = {name.lower() for name in backends}  # as nginx compares the names of upstreams
    members: dict[str, list[str]] = {group: [] for group in groups}
    for group in groups:
        for each in found.get(group, ()):
            if each.name.lower() not in taken:
                taken.add(each.name.lower())
                members[group].append(each.name)
                backends[each.name] = each.of(config.backends[group])
    ordered = {name: backends[name] for name in _names(config.backends, members)}
    models = {name: _with_members(model, members) for name, model in config.models.items()}
    return config.model_copy(update={"backends": ordered, "models": models})


def holds(change: Change, config: Config) -> bool:
    """Whether a change counts: the file still says what it said when the change was made.

    config: with what was found, without changes.
    """
    declared = config.backends.get(change.backend)
    if declared is None:
        return change.instead_of is None
    return said(declared, change.what) == change.instead_of


def has_lapsed(change: Change, config: Config) -> bool:
    """Whether the file says something new about what was changed, and so goes before it.

    Not where it says nothing (any more) about that backend: another gateway's file may, or
    discovery may find it again.
    """
    return change.backend in config.backends and not holds(change, config)


def said(backend: Backend | None, what: What) -> dict[str, Any] | None:
    """What the file says about the thing that such a change is of; None if nothing.

    Of a weight set on a backend that was added, the file says nothing either.
    """
    if backend is None or isinstance(backend, AddedBackend):
        return None
    return {"weight": backend.weight} if what == "weight" else settings(backend)


def settings(backend: Backend) -> dict[str, Any]:
    """The settings of a backend that say what it is, without its key and its share."""
    return backend.model_dump(
        mode="json", exclude_defaults=True, exclude={"api_key", "headers", "weight", "discover"}
    )


def added(config: Config) -> tuple[str, ...]:
    """Backends that operators added."""
    return tuple(n for n, each in config.backends.items() if isinstance(each, AddedBackend))


def _added(change: Change) -> AddedBackend | None:
    """None for settings that only a newer Infergate knows, which shares the database."""
    try:
        return AddedBackend.model_validate(change.value)
    except ValidationError:
        return None


def _names(names: Iterable[str], members: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The names with groups replaced by their members, each once."""
    yield from dict.fromkeys(each for name in names for each in members.get(name, (name,)))


def _with_members(model: Model, members: Mapping[str, Sequence[str]]) -> Model:
    """A model with its groups replaced by their backends."""
    names = {
        each: name
        for backend, name in model.upstream_names.items()
        for each in members.get(backend, (backend,))
    }
    own = {each: name for each, name in model.upstream_names.items() if each not in members}
    update = {"backends": list(_names(model.backends, members)), "upstream_names": {**names, **own}}
    return model.model_copy(update=update)


def _without(models: Mapping[str, Model], removed: set[str]) -> dict[str, Model]:
    return {
        name: model.model_copy(update={"backends": [b for b in model.backends if b not in removed]})
        for name, model in models.items()
    }
