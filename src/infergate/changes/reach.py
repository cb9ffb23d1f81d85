"""Whether models that are served would still be: asked of backends before they get requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from infergate.config.root import Config
from infergate.control.report import Report
from infergate.health.ask import OurFault, Target, make_client
from infergate.health.inventory import Inventory, declared
from infergate.health.probe import identify, list_models, probe
from infergate.paths import Home
from infergate.state.in_force import read_groups
from infergate.state.routes import any_model, has_model, named_models, who_serves

T = TypeVar("T")

_TIMEOUT_S = 3.0
"""For one question. Longer than a probe's: here it is one that decides, not several in a row."""

ALL = "*"
"""Stands for the models that backends have and the file does not name."""

Served = Mapping[str, tuple[str, ...]]
"""model → the backends that serve it; ALL → all that serve anything."""


@dataclass(frozen=True)
class Unserved:
    """A model that would lose every backend. reasons: backend → what is wrong with it."""

    model: str
    reasons: Mapping[str, str]

    def __str__(self) -> str:
        said = "; ".join(f"{name}: {reason}" for name, reason in self.reasons.items())
        said = f" ({said})" if said else ""
        if self.model == ALL:
            return f"no backend would be left{said}"
        return f"nobody would serve the model {self.model!r} any longer{said}"


@dataclass(frozen=True)
class KnownBackends:
    """What is known of backends.

    faults: backend → why it cannot serve, None if it can; absent if nobody knows yet.
    inventories: backend → what it has; absent if nobody knows yet.
    """

    faults: Mapping[str, str | None] = field(default_factory=dict)
    inventories: Mapping[str, Inventory] = field(default_factory=dict)


def served(config: Config, report: Report | None, inventories: Mapping[str, Inventory]) -> Served:
    """The models that have a backend that serves, as the control plane sees them."""
    up = {each.name for each in report.backends if each.serves} if report else set[str]()
    found = {
        name: tuple(
            each
            for each in model.backends
            if each in up and has_model(inventories.get(each), model.name_at(each) or name)
        )
        for name, model in who_serves(config, inventories).items()
    }
    everything = any_model(config)
    if everything is not None:
        found[ALL] = tuple(each for each in everything.backends if each in up)
    return {name: backends for name, backends in found.items() if backends}


def unserved(was: Served, config: Config, known: KnownBackends) -> Iterator[Unserved]:
    """Models that were served and would have no backend left.

    config: the one that takes effect. What it says outright counts as meant: a model that it
    does not name any longer, a backend that it does not have any longer.
    """
    now = who_serves(config, known.inventories)
    named, everything = named_models(config), any_model(config)
    for model, before in was.items():
        if model == ALL or (model not in named and everything is not None):
            reasons = _of_unnamed(model, before, config, known)
        elif model in named:
            reasons = {
                each: _fault(each, named[model].name_at(each) or model, known)
                for each in now[model].backends
            }
        else:
            continue
        if reasons is not None and all(reasons.values()):
            yield Unserved(model, {name: str(reason) for name, reason in reasons.items()})


def _of_unnamed(
    model: str, before: tuple[str, ...], config: Config, known: KnownBackends
) -> dict[str, str | None] | None:
    """Why each of the backends that could have a model cannot serve it; None: nobody is meant to.

    Those that could are the ones that had it before, and all of which nobody knows otherwise.
    """
    everything = any_model(config)
    if everything is None:
        return None if config.backends else {}
    reasons = {
        each: _fault(each, "" if model == ALL else model, known) for each in everything.backends
    }
    if model == ALL or None in reasons.values():
        return reasons
    meant = {
        each: reason
        for each, reason in reasons.items()
        if each in before or has_model(known.inventories.get(each), model)
    }
    return meant or None


def _fault(backend: str, model: str, known: KnownBackends) -> str | None:
    """Why a backend cannot serve a model ("": any), None if it can or nobody knows."""
    fault = known.faults.get(backend)
    if fault is None and model and not has_model(known.inventories.get(backend), model):
        return "it does not have it"
    return fault


def as_reported(report: Report | None, inventories: Mapping[str, Inventory]) -> KnownBackends:
    """What the control plane says of each backend that it has an opinion of."""
    return KnownBackends(
        {
            each.name: None if each.state not in ("down", "hung") else each.reason
            for each in (report.backends if report else ())
            if each.state != "unknown"
        },
        inventories,
    )


def look(before: Config, after: Config, known: KnownBackends) -> KnownBackends:
    """What is known of the backends of `after`: those that are asked as before are as they are
    known, the others are asked now."""
    unchanged = {
        name
        for name, backend in after.backends.items()
        if name in before.backends and Target.of(backend, 1) == Target.of(before.backends[name], 1)
    }
    asked = asyncio.run(_ask(after, [name for name in after.backends if name not in unchanged]))
    return KnownBackends(
        {**_of(known.faults, unchanged), **asked.faults},
        {**_of(known.inventories, unchanged), **asked.inventories},
    )


def _of(known: Mapping[str, T], names: set[str]) -> dict[str, T]:
    return {name: each for name, each in known.items() if name in names}


async def _ask(config: Config, names: list[str]) -> KnownBackends:
    answers = await asyncio.gather(*(_asked(config, name) for name in names))
    asked = dict(zip(names, answers, strict=True))
    return KnownBackends(
        {name: fault for name, (fault, _) in asked.items()},
        {name: found for name, (_, found) in asked.items() if found is not None},
    )


async def _asked(config: Config, name: str) -> tuple[str | None, Inventory | None]:
    """Why it cannot serve, and what it has if that can be told."""
    backend = config.backends[name]
    target = Target.of(backend, _TIMEOUT_S)
    client = make_client(verify_tls=target.verify_tls)
    try:
        result = await probe(client, target)
        # Of one whose engine is not named, any answer will do: nobody knows its paths yet.
        unnamed = target.kind is None and target.check == "auto"
        if not result.ok and not (unnamed and result.status is not None and result.status < 500):
            return result.reason, None
        if backend.engine == "auto":
            target = replace(target, kind=await identify(client, target))
        found = await list_models(client, target)
    except OurFault as problem:
        return f"it could not be asked: {problem}", None
    if not isinstance(found, Inventory):
        return None, None
    if backend.models is not None:
        found = replace(found, models=declared(backend.models, found.models))
    return None, found


def empty_groups(config: Config, home: Home) -> Iterator[str]:
    """Why the groups of a file have no backends. config: as the file has it."""
    for name, group in read_groups(home).items():
        if name in config.backends and not group.backends:
            yield f"the group {name} is empty" + (f": {group.problem}" if group.problem else "")
