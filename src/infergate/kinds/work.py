"""What a server says of its own work: requests, KV cache, tokens. Pure: text in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

_LARGEST = 2.0**53
"""Of a sum that an engine tells: what a float still holds exactly."""


class Timed(NamedTuple):
    """What was measured since the engine started: seconds, added up, and how often."""

    seconds: float
    times: int


@dataclass(frozen=True)
class Work:
    """One reading of an engine's work. None: it does not say.

    running, waiting: requests it works on, and those in its own queue.
    kv_cache_use: 0 to 1. kv_cache_tokens: that it holds. keeps_prefixes: whether what is there of
        one prompt serves the next.
    generation_tokens, prompt_tokens: since it started.
    first_tokens: how long they took to come; tokens: how long each that follows took.
    pulse: numbers of which one changes whenever the engine produces something; empty if it has
        none that are fit for that.
    """

    running: int | None = None
    waiting: int | None = None
    kv_cache_use: float | None = None
    kv_cache_tokens: int | None = None
    keeps_prefixes: bool | None = None
    generation_tokens: int | None = None
    prompt_tokens: int | None = None
    pulse: tuple[float, ...] = ()
    first_tokens: Timed | None = None
    tokens: Timed | None = None

    @property
    def requests(self) -> int:
        """What it works on and what waits there, as far as it says."""
        return (self.running or 0) + (self.waiting or 0)


_Pair = tuple[str, str]
"""The metrics that are the seconds and the count of something."""


class CacheInfo(NamedTuple):
    """A metric whose labels tell of the KV cache: how many blocks of how many tokens, and whether
    prefixes are kept there ("True", "False")."""

    metric: str
    blocks: str
    block_tokens: str
    keeps_prefixes: str


@dataclass(frozen=True)
class WorkNames:
    """The metrics of one kind. Of several names for a thing, the first that is there counts.

    pulse: what moves while a request is worked on, besides the counters of tokens.
    """

    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    kv_cache_use: tuple[str, ...] = ()
    kv_cache: tuple[CacheInfo, ...] = ()
    kv_cache_tokens: tuple[str, ...] = ()
    generation_tokens: tuple[str, ...] = ()
    prompt_tokens: tuple[str, ...] = ()
    pulse: tuple[str, ...] = ()
    first_tokens: tuple[_Pair, ...] = ()
    tokens: tuple[_Pair, ...] = ()

    @property
    def all(self) -> frozenset[str]:
        requests = (*self.running, *self.waiting, *self.kv_cache_use, *self.kv_cache_tokens)
        infos = [each.metric for each in self.kv_cache]
        timed = [name for pair in (*self.first_tokens, *self.tokens) for name in pair]
        return frozenset(
            (*requests, *self.generation_tokens, *self.prompt_tokens, *self.pulse, *timed, *infos)
        )

    def besides(self, others: WorkNames) -> WorkNames:
        """These names, and others where these are not there."""
        names = (each.name for each in fields(self))
        return WorkNames(**{name: getattr(self, name) + getattr(others, name) for name in names})


def histogram(name: str) -> _Pair:
    """The two numbers of a histogram."""
    return f"{name}_sum", f"{name}_count"


Reader = Callable[[str], Work | None]
"""From the text of an answer to what it tells; None if it tells nothing that is known."""


def read_metrics(names: WorkNames) -> Reader:
    """A reader of metrics with these names.

    Values of one name (vLLM has one for each engine and model) are added up, but the KV cache's
    are averaged.
    """
    wanted = names.all
    return lambda text: _read(names, *_samples(text, wanted))


_Labels = Mapping[str, list[Mapping[str, str]]]


def _read(names: WorkNames, values: Mapping[str, list[float]], labels: _Labels) -> Work | None:
    if not values:
        return None
    kv_cache_use = _first(values, names.kv_cache_use)
    return Work(
        running=_count(_first(values, names.running)),
        waiting=_count(_first(values, names.waiting)),
        kv_cache_use=None
        if kv_cache_use is None
        else round(min(1.0, max(0.0, sum(kv_cache_use) / len(kv_cache_use))), 4),
        **_cache(names, values, labels),
        generation_tokens=_count(_first(values, names.generation_tokens)),
        prompt_tokens=_count(_first(values, names.prompt_tokens)),
        pulse=tuple(
            sum(values[name])
            for name in (*names.generation_tokens, *names.prompt_tokens, *names.pulse)
            if name in values
        ),
        first_tokens=_timed(values, names.first_tokens),
        tokens=_timed(values, names.tokens),
    )


def _cache(names: WorkNames, values: Mapping[str, list[float]], labels: _Labels) -> dict[str, Any]:
    if tokens := _count(_first(values, names.kv_cache_tokens)):
        return {"kv_cache_tokens": tokens}
    for info in names.kv_cache:
        told = labels.get(info.metric, [])
        sizes = [_whole(each, info.blocks) * _whole(each, info.block_tokens) for each in told]
        if told:
            return {
                "kv_cache_tokens": min(sum(sizes), int(_LARGEST)) or None,
                "keeps_prefixes": {"True": True, "False": False}.get(
                    told[0].get(info.keeps_prefixes, "")
                ),
            }
    return {}


def _whole(labels: Mapping[str, str], name: str) -> int:
    text = labels.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _samples(
    text: str, wanted: frozenset[str]
) -> tuple[dict[str, list[float]], dict[str, list[Mapping[str, str]]]]:
    """The values of the wanted metrics, and their labels, by name.

    Only their lines are parsed: vLLM writes 600, of which six matter. That takes 0.2 ms, and all
    of them 7.7 ms (prometheus_client 0.26, one core of a small machine).
    """
    # The library takes 20 ms to load, and a command line has no use for it.
    from prometheus_client.parser import text_string_to_metric_families

    lines = [line for line in text.splitlines() if _name_of(line) in wanted]
    values: dict[str, list[float]] = {}
    labels: dict[str, list[Mapping[str, str]]] = {}
    try:
        for family in text_string_to_metric_families("\n".join([*lines, ""])):
            for sample in family.samples:
                if math.isfinite(sample.value):
                    values.setdefault(sample.name, []).append(sample.value)
                    labels.setdefault(sample.name, []).append(sample.labels)
    except (ValueError, IndexError):  # the library's answers to what is no exposition format
        return {}, {}
    return values, labels


def _name_of(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0]


def _first(values: Mapping[str, list[float]], names: Iterable[str]) -> list[float] | None:
    return next((values[name] for name in names if name in values), None)


def _timed(values: Mapping[str, list[float]], pairs: Iterable[_Pair]) -> Timed | None:
    for seconds, count in pairs:
        if seconds in values and count in values:
            taken_s = min(sum(values[seconds]), _LARGEST)
            return Timed(max(0.0, round(taken_s, 6)), _count(values[count]) or 0)
    return None


def _count(values: list[float] | None) -> int | None:
    return None if values is None else max(0, round(min(sum(values), _LARGEST)))
