"""What is wrong with models as the configuration has them: names that lead nowhere, or round."""

from __future__ import annotations

from collections.abc import Iterator

from infergate.config.deprecated import LONGEST
from infergate.config.models import Model
from infergate.config.problems import Finding, did_you_mean
from infergate.config.root import ANY_MODEL, Config

ModelPath = tuple[str, str]
"""("models", its name)."""


def model_contradictions(config: Config) -> Iterator[Finding]:
    """What `check` refuses of them."""
    claimed: dict[str, str] = {}
    for name, model in config.models.items():
        path = ("models", name)
        yield from _names(path, name, model)
        yield from _backends_of(config, path, name, model)
        yield from _aliases(config, path, name, model, claimed)
        yield from _deprecated(path, name, model)
        yield from _canary(config, path, name, model)
        yield from _shadow(config, path, model)
        yield from _fallback(config, path, name, model)
        if model.continuations and config.api is None:
            yield (*path, "continuations"), "the API tier does this: add the section 'api: {}'"
    default = config.default_model
    if default and config.models and ANY_MODEL not in config.models:
        known = set(config.models) | set(claimed)
        if default not in known:
            yield (
                ("default_model",),
                f"there is no model {default!r}" + did_you_mean(default, known),
            )


def _names(path: ModelPath, name: str, model: Model) -> Iterator[Finding]:
    for at, each in ((path, name), *(((*path, "aliases"), alias) for alias in model.aliases)):
        if "*" in each and each != ANY_MODEL:
            yield (
                at,
                f'{each!r} looks like a pattern, and names are none: write the names, or "*" '
                "for every other model of its backends",
            )


def _backends_of(config: Config, path: ModelPath, name: str, model: Model) -> Iterator[Finding]:
    for index, backend in enumerate(model.backends):
        if backend not in config.backends:
            hint = did_you_mean(backend, config.backends)
            yield (*path, "backends", index), f"there is no backend {backend!r}{hint}"
        elif name != ANY_MODEL:
            wanted = model.name_at(backend) or name
            if not config.backends[backend].model_filter.lets(wanted):
                yield (
                    (*path, "backends", index),
                    f"the model_filter of {backend!r} leaves {wanted!r} out",
                )
    if len(set(model.backends)) < len(model.backends):
        yield (*path, "backends"), "a backend stands in this list twice"
    if name == ANY_MODEL and (model.aliases or model.upstream_name or model.upstream_names):
        yield path, 'the entry "*" stands for many models: no aliases, no upstream_name'
    asked = [*model.backends, *([model.shadow.backend] if model.shadow else [])]
    for backend in model.upstream_names:
        if backend not in asked:
            hint = did_you_mean(backend, asked)
            yield (
                (*path, "upstream_names", backend),
                f"{backend!r} is no backend of this model{hint}",
            )


def _aliases(
    config: Config, path: ModelPath, name: str, model: Model, claimed: dict[str, str]
) -> Iterator[Finding]:
    """claimed: alias → its model, of those that were looked at; this one's are added."""
    for alias in model.aliases:
        if alias in config.models or alias == ANY_MODEL:
            yield (*path, "aliases"), f"{alias!r} is a model itself"
        elif alias in claimed:
            yield (*path, "aliases"), f"{alias!r} is an alias of {claimed[alias]!r} already"
        claimed.setdefault(alias, name)


def _deprecated(path: ModelPath, name: str, model: Model) -> Iterator[Finding]:
    own = (name, *model.aliases)
    for each in model.deprecated:
        where = (*path, "deprecated", each)
        if name == ANY_MODEL:
            yield where, 'the entry "*" stands for many models, and has no names of its own'
        elif each not in own:
            yield where, f"{each!r} is no name of this model" + did_you_mean(each, own)
        elif len(each.encode()) > LONGEST:
            yield where, f"a name of more than {LONGEST} bytes cannot be deprecated"


def _canary(config: Config, path: ModelPath, name: str, model: Model) -> Iterator[Finding]:
    if model.canary is None:
        return
    other = model.canary.model
    if missing := _missing(config, other):
        yield (*path, "canary", "model"), missing
    elif other == name:
        yield (*path, "canary", "model"), "is this model itself"


def _shadow(config: Config, path: ModelPath, model: Model) -> Iterator[Finding]:
    if model.shadow is None:
        return
    backend = model.shadow.backend
    if backend not in config.backends:
        hint = did_you_mean(backend, config.backends)
        yield (*path, "shadow", "backend"), f"there is no backend {backend!r}{hint}"
    if _is_group(config, backend):
        yield (*path, "shadow", "backend"), "is a group: name one backend"


def _fallback(config: Config, path: ModelPath, name: str, model: Model) -> Iterator[Finding]:
    for other in model.fallback:
        if missing := _missing(config, other):
            yield (*path, "fallback"), missing
    if _falls_back_to_itself(config, name):
        yield (*path, "fallback"), "these fallbacks lead back to this model"


def _missing(config: Config, model: str) -> str:
    """What to say of a model that no backend can be asked for; "" of any other."""
    names = set(config.models) - {ANY_MODEL}
    if model in names or ANY_MODEL in config.models:
        return ""
    return f"there is no model {model!r}" + did_you_mean(model, names)


def _is_group(config: Config, name: str) -> bool:
    return name in config.backends and config.backends[name].discover is not None


def _falls_back_to_itself(config: Config, name: str) -> bool:
    seen: set[str] = set()
    waiting = list(config.models[name].fallback)
    while waiting:
        other = waiting.pop()
        if other == name:
            return True
        if other not in seen and other in config.models:
            seen.add(other)
            waiting += config.models[other].fallback
    return False
