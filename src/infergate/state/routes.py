"""Which backends serve which name: from the configuration and what was discovered."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Literal

from infergate.config.endpoints import KEEPERS
from infergate.config.in_force import added
from infergate.config.models import Model
from infergate.config.root import ANY_MODEL, Config
from infergate.health.inventory import Inventory, ModelInfo
from infergate.kinds import KINDS
from infergate.nginx.keeping import who_answers
from infergate.nginx.relays import relay_for
from infergate.state.offered import offered
from infergate.state.route import LATEST, compile_route, is_ollama, kind_of

ANY_CASE = "\n"
"""Before a name in lower case that is good in any: no name of a model has a line break."""


@dataclass(frozen=True)
class Routes:
    """What njs routes by.

    routes: name or alias → route as JSON (njs/route.js describes it); "" is the default model's,
        and what begins with ANY_CASE one that Ollama knows by a name in any case.
    catalog: list's name → the list as JSON (njs/catalog.js describes it).
    missing: (model, backend) pairs where the backend says it does not have the model.
    """

    routes: Mapping[str, str] = field(default_factory=dict)
    catalog: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[tuple[str, str], ...] = ()


def compile_routes(config: Config, inventories: Mapping[str, Inventory]) -> Routes:
    """Routes and lists for the backends as they describe themselves now.

    inventories: backend → what it has; a backend that was never reached is absent, and then only
        the models that the configuration names are routed to it.
    """
    named = named_models(config)
    inventories = offered(config, inventories)
    models = who_serves(config, inventories)
    routes: dict[str, str] = {}
    others: dict[str, str] = {}  # behind every name: what is called so is what is asked for
    fingerprint = who_answers(config)
    for name, model in models.items():
        usual = _json(compile_route(config, name, model, inventories, fingerprint))
        for each in _own_aliases(name, model, inventories):
            others.setdefault(each, usual)
        for each in (name, *model.aliases, *_short_names(name, model, inventories)):
            compiled = usual
            if each in model.deprecated:
                its = compile_route(config, name, model, inventories, fingerprint, each)
                compiled = _json(its)
            routes.setdefault(each, compiled)
            if _is_on_ollama(model, inventories):
                routes.setdefault(ANY_CASE + each.lower(), compiled)
    routes = {**others, **routes}
    if config.default_model is not None and config.default_model in routes:
        routes[""] = routes[config.default_model]
    missing = tuple(
        (name, backend)
        for name, model in named.items()
        for backend in model.backends
        if backend in inventories and not _has(inventories[backend], model.name_at(backend) or name)
    )
    return Routes(routes, _catalog(config, models, inventories), missing)


def named_models(config: Config) -> dict[str, Model]:
    """Those that the file names."""
    return {name: model for name, model in config.models.items() if name != ANY_MODEL}


def any_model(config: Config) -> Model | None:
    """How the models are served that backends have and the file does not name; None: not at all."""
    everything = config.models.get(ANY_MODEL)
    if everything is not None:
        return _with_added(everything, added(config))
    return Model(backends=list(config.backends)) if not config.models and config.backends else None


def who_serves(config: Config, inventories: Mapping[str, Inventory]) -> dict[str, Model]:
    """name → the model with the backends that have it, or may.

    inventories: as of compile_routes.
    """
    joined = added(config)
    inventories = offered(config, inventories)
    models = {
        name: _where_it_is(joined, name, model, inventories)
        for name, model in named_models(config).items()
    }
    # A model the file names is served as the file says, also where another backend has it too.
    taken = set(models) | {alias for model in models.values() for alias in model.aliases}
    everything = any_model(config)
    if everything is not None:
        for name, backends in _discovered(everything.backends, inventories).items():
            if name not in taken:
                models[name] = everything.model_copy(update={"backends": backends})
    return models


def answered_names(config: Config, inventories: Mapping[str, Inventory]) -> frozenset[str]:
    """Every name that a request may ask for, as far as backends have told what they have."""
    served = who_serves(config, inventories).items()
    return frozenset(name for model, each in served for name in (model, *each.aliases))


def has_model(inventory: Inventory | None, name: str) -> bool:
    """Whether a backend may have a model, as it says itself; one that is not known may."""
    return inventory is None or KINDS[inventory.kind].any_name or _has(inventory, name)


def _where_it_is(
    by_hand: Iterable[str], name: str, model: Model, inventories: Mapping[str, Inventory]
) -> Model:
    """A model the file names, with the backends that have it: those of the file but the ones that
    say they do not, and those that were added and say they do. Where all say they do not, nothing
    is taken out: then they are asked, and their answer tells."""

    def wanted(backend: str) -> str:
        return model.name_at(backend) or name

    have = [b for b in model.backends if has_model(inventories.get(b), wanted(b))]
    joined = [b for b in by_hand if b in inventories and _lists(inventories[b], wanted(b))]
    if have == model.backends and not joined:
        return model
    kept = have or ([] if joined else model.backends)
    return _with_added(model.model_copy(update={"backends": kept}), joined)


def _with_added(model: Model, joined: Iterable[str]) -> Model:
    backends = list(dict.fromkeys((*model.backends, *joined)))
    return model if backends == model.backends else model.model_copy(update={"backends": backends})


def _lists(inventory: Inventory, name: str) -> bool:
    return any(model.id in (name, name + LATEST) for model in inventory.models)


def _discovered(
    backends: Iterable[str], inventories: Mapping[str, Inventory]
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for backend in backends:
        for model in inventories[backend].models if backend in inventories else ():
            found.setdefault(model.id, []).append(backend)
    return found


def _has(inventory: Inventory, name: str) -> bool:
    # An engine that lists nothing is believed to have what the file says.
    return not inventory.models or _lists(inventory, name)


def _short_names(name: str, model: Model, inventories: Mapping[str, Inventory]) -> tuple[str, ...]:
    """Ollama's `llama3` beside `llama3:latest`."""
    short = name.endswith(LATEST) and _is_on_ollama(model, inventories)
    return (name.removesuffix(LATEST),) if short else ()


def _own_aliases(name: str, model: Model, inventories: Mapping[str, Inventory]) -> tuple[str, ...]:
    """What a llama.cpp calls a model besides (`--alias a,b`)."""
    infos = (info for _, info in _infos(name, model, inventories))
    return tuple(dict.fromkeys(alias for info in infos for alias in info.aliases))


def _is_on_ollama(model: Model, inventories: Mapping[str, Inventory]) -> bool:
    return any(
        backend in inventories and inventories[backend].kind == "ollama"
        for backend in model.backends
    )


def _catalog(
    config: Config, models: Mapping[str, Model], inventories: Mapping[str, Inventory]
) -> dict[str, str]:
    listed = []
    for name, model in models.items():
        info = next((info for _, info in _infos(name, model, inventories)), None)
        owner = next((inventories[b].kind for b in model.backends if b in inventories), "auto")
        if owner == "auto" and model.backends:
            owner = config.backends[model.backends[0]].engine
        for each in (name, *model.aliases):
            entry: dict[str, object] = {
                "id": each,
                "object": "model",
                "created": 0,
                "owned_by": "infergate" if owner == "auto" else owner,
                **((info.card if info else None) or {}),
            }
            if info is not None and info.context_length:
                entry["max_model_len"] = info.context_length
            names = [name, each, *_short_names(name, model, inventories)]
            names += _own_aliases(name, model, inventories)
            hidden = {"unlisted": 1} if model.unlisted else {}
            if each in model.deprecated and (gone_at := model.deprecated[each].gone_at):
                hidden["until"] = gone_at * 1000
            listed.append({"names": list(dict.fromkeys(names)), "entry": entry, **hidden})
    engines = {
        found.kind: found.version
        for found in map(inventories.get, config.backends)
        if found is not None and found.version
    }
    own = {"version": next(iter(engines.values()), _own_version()), "infergate": _own_version()}
    boxes = [name for name in config.backends if is_ollama(config, name, inventories)]
    versions = [inventories[box].version for box in boxes if box in inventories]
    return {
        "models": _json(listed),
        "tags": _json(_ollama_list(models, boxes, inventories, "tag")),
        "ps": _json(_ollama_list(models, boxes, inventories, "running")),
        "keepers": _json(_keepers(config, models, inventories)),
        "engines": _json([{**own, "engines": engines}]),
        "version": _json([version for version in versions if version][:1]),
        "responses": _json(_over_websockets(config, models, inventories)),
        "untold": _json(_untold(config, inventories)),
        "boxes": _json([_way_to(config, box) for box in boxes]),
    }


@functools.cache
def _own_version() -> str:
    return version("infergate")


def _keepers(
    config: Config, models: Mapping[str, Model], inventories: Mapping[str, Inventory]
) -> list[dict[str, object]]:
    """Who keeps answers (njs/stored.js)."""
    return [
        {"names": [name, *model.aliases], "entry": _way_to(config, backend)}
        for name, model in models.items()
        if not model.guardrails
        for backend in model.backends
        if kind_of(config.backends[backend], inventories.get(backend)) in KEEPERS
    ]


def _over_websockets(
    config: Config, models: Mapping[str, Model], inventories: Mapping[str, Inventory]
) -> list[object]:
    """The route of a WebSocket on /v1/responses, with all that is the same in each backend
    (njs/responses.js). Nothing where no backend has it, or limits could not be held there."""
    limited = {each for model in models.values() if any(_rates(model)) for each in model.backends}
    able = [name for name, each in config.backends.items() if each.websocket]
    able = [name for name in able if name not in limited and not any(_rates(config))]
    # Nobody sees what goes through one.
    if not able or any(each.guardrails for each in config.models.values()):
        return []
    name, balance, backends, options, names, *_ = compile_route(
        config, "", Model(backends=able), inventories
    )
    same = backends[0][1:]
    return [name, balance, [[each, *same] for each in names] if names else backends, options, 0]


def _untold(config: Config, inventories: Mapping[str, Inventory]) -> list[int]:
    """Not empty where a model that nobody knows may be there all the same: every model is served,
    and a backend has not told yet which it has, or none was found yet (njs/catalog.js)."""
    everything = any_model(config)
    if everything is None:
        return [] if config.models or config.backends else [1]
    return [] if everything.backends and set(everything.backends) <= set(inventories) else [1]


def _rates(whose: Config | Model) -> tuple[int | None, ...]:
    limits = whose.limits
    return (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent)


def _way_to(config: Config, backend: str) -> list[str]:
    """With the end of the names of locations that lead there."""
    return [backend, relay_for(config.backends[backend], config.timeouts).suffix]


def _infos(
    name: str, model: Model, inventories: Mapping[str, Inventory]
) -> Iterator[tuple[str, ModelInfo]]:
    """What each backend that has the model says about it."""
    for backend in model.backends:
        wanted = model.name_at(backend) or name
        for info in inventories[backend].models if backend in inventories else ():
            if info.id in (wanted, wanted + LATEST):
                yield backend, info


def _ollama_list(
    models: Mapping[str, Model],
    boxes: list[str],
    inventories: Mapping[str, Inventory],
    part: Literal["tag", "running"],
) -> list[dict[str, object]]:
    """Ollama's own entries of the models that are served, under the names clients use."""
    listed: list[dict[str, object]] = []
    for name, model in models.items():
        for backend, info in _infos(name, model, inventories):
            entry: Mapping[str, object] | None = getattr(info, part)
            if backend in boxes and entry is not None and not model.unlisted:
                names = [name, *model.aliases, *_short_names(name, model, inventories)]
                shown = {**entry, "name": name, "model": name}
                listed.append({"names": names, "entry": shown})
                break
    return listed


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
