"""Whether models that are served would still be: asked of backends before they get requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infergate.config.root import Config
from infergate.control.report import Report
from infergate.health.ask import OurFault, Target, make_client
from infergate.health.probe import probe

_TIMEOUT_S = 3.0
"""For one question. Longer than a probe's: here it is one that decides, not several in a row."""

ALL = "*"
"""Stands for the models that backends have and the file does not name."""


@dataclass(frozen=True)
class Unserved:
    """A model that would lose every backend. reasons: backend → what is wrong with it."""

    model: str
    reasons: Mapping[str, str]

    def __str__(self) -> str:
        said = "; ".join(f"{name}: {reason}" for name, reason in self.reasons.items())
        if self.model == ALL:
            return f"no backend would be left ({said})"
        return f"nobody would serve the model {self.model!r} any longer ({said})"


def backends_of(config: Config) -> dict[str, list[str]]:
    """model → its backends."""
    models = {name: list(model.backends) for name, model in config.models.items()}
    return models or {ALL: list(config.backends)}


def served(config: Config, report: Report | None) -> frozenset[str]:
    """The models that have a backend that serves, as the control plane sees them."""
    up = {each.name for each in report.backends if each.serves} if report else set()
    return frozenset(m for m, backends in backends_of(config).items() if up & set(backends))


def unserved(
    was_served: frozenset[str], config: Config, faults: Mapping[str, str | None]
) -> Iterator[Unserved]:
    """Models that were served and would have no backend left.

    faults: backend → why it cannot serve, None if it can; absent if nobody knows yet.
    """
    for model, backends in backends_of(config).items():
        reasons = {name: faults.get(name) for name in backends if name in faults}
        if model in was_served and len(reasons) == len(backends) and all(reasons.values()):
            yield Unserved(model, {name: str(reason) for name, reason in reasons.items()})


def faults_reported(report: Report | None) -> dict[str, str | None]:
    """What the control plane says of each backend that it has an opinion of."""
    return {
        each.name: None if each.state not in ("down", "hung") else each.reason
        for each in (report.backends if report else ())
        if each.state != "unknown"
    }


def faults_of(before: Config, after: Config, report: Report | None) -> dict[str, str | None]:
    """backend → why it cannot serve, or None. Those that are asked as before are as the control
    plane knows them; the others are asked now."""
    known = faults_reported(report)
    unchanged = {
        name
        for name, backend in after.backends.items()
        if name in before.backends and Target.of(backend, 1) == Target.of(before.backends[name], 1)
    }
    asked = asyncio.run(_ask(after, [name for name in after.backends if name not in unchanged]))
    return {**{name: known[name] for name in unchanged if name in known}, **asked}


async def _ask(config: Config, names: list[str]) -> dict[str, str | None]:
    answers = await asyncio.gather(*(_fault(config, name) for name in names))
    return dict(zip(names, answers, strict=True))


async def _fault(config: Config, name: str) -> str | None:
    target = Target.of(config.backends[name], _TIMEOUT_S)
    async with make_client(verify_tls=target.verify_tls) as client:
        try:
            result = await probe(client, target)
        except OurFault as problem:
            return f"it could not be asked: {problem}"
    # Of one whose engine is not named, any answer will do: nobody knows its paths yet.
    unnamed = target.kind is None and target.check == "auto"
    answered = result.ok or (unnamed and result.status is not None and result.status < 500)
    return None if answered else result.reason
