"""What a run says: quantiles of the time to first token, hit rate, imbalance, errors, and whether
the replay kept up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.routing.fleet import Fleet, Served
from bench.routing.replay import Seen
from bench.routing.scenarios import Scenario

HELD_S = 1.0
"""A router that has a request for longer, in simulated seconds, holds it on purpose: that counts
in full. What is less is its own work, which has no faster clock: it counts as real time."""

MOST_LAG_S, MOST_HELD = 0.5, 0.01
"""A run counts where 99 % of its requests were sent, and 99 % of the steps ended, at most so many
simulated seconds late, and where at most this share of the requests was held."""


@dataclass(frozen=True)
class Run:
    """What is measured: a scenario through a router, by name, at a clock's scale."""

    scenario: Scenario
    router: str
    seed: int
    scale: float


@dataclass(frozen=True)
class Outcome:
    """One router in one scenario; times in simulated seconds.

    requests: that were measured, after the warm-up. hit: share of the prompts' tokens that were in
    a cache. imbalance: what the busiest engine read, of the average. lag_s: 99 % were no later.
    held: share of requests that the router kept for more than HELD_S.
    before_token: of the errors, those of requests without a token.
    """

    scenario: str
    router: str
    version: str
    seed: int
    scale: float
    requests: int
    p50_s: float
    p95_s: float
    p99_s: float
    hit: float
    imbalance: float
    errors: int
    before_token: int
    loads: int
    lag_s: float
    held: float
    kept_up: bool
    first_error: str


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that is not below `share` of them; nan of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def geometric_mean(values: Sequence[float]) -> float:
    """nan of none; what is less than a millisecond counts as one."""
    if not values:
        return math.nan
    return math.exp(sum(math.log(max(0.001, each)) for each in values) / len(values))


def outcome(
    run: Run,
    version: str,
    seen: Sequence[Seen],
    fleet: Fleet | None,
) -> Outcome:
    """version: of the router; fleet: None for real engines, of which the client tells."""
    scale = run.scale
    measured = [one for one in seen if one.due_s >= run.scenario.warm_s]
    served = _by_number(fleet.served if fleet else [])
    waits, held = [], 0
    for one in measured:
        wait, was_held = _first_token(one, served.get(one.number, []), scale)
        waits.append(wait)
        held += was_held
    failed = [one for one in measured if one.error]
    prompts, hits, imbalance = _reuse(measured, served, len(fleet.engines) if fleet else 0)
    lag_s = quantile((one.sent_s - one.due_s for one in measured), 0.99)
    if fleet and fleet.late_s:
        lag_s = max(lag_s, quantile(fleet.late_s, 0.99))
    held_share = held / max(1, len(measured))
    return Outcome(
        scenario=run.scenario.name,
        router=run.router,
        version=version,
        seed=run.seed,
        scale=scale,
        requests=len(measured),
        p50_s=quantile(waits, 0.5),
        p95_s=quantile(waits, 0.95),
        p99_s=quantile(waits, 0.99),
        hit=hits / max(1, prompts),
        imbalance=imbalance,
        errors=len(failed),
        before_token=sum(1 for one in failed if one.first_s is None),
        loads=sum(each.engine.loads for each in fleet.engines) if fleet else 0,
        lag_s=lag_s,
        held=held_share,
        kept_up=lag_s <= MOST_LAG_S and held_share <= MOST_HELD,
        first_error=failed[0].error[:300] if failed else "",
    )


def _by_number(served: Iterable[Served]) -> dict[int, list[Served]]:
    ordered = sorted(served, key=lambda each: each.number)
    return {number: list(each) for number, each in groupby(ordered, key=lambda each: each.number)}


def _first_token(one: Seen, tries: Sequence[Served], scale: float) -> tuple[float, bool]:
    """From sending to the first token, by the engine's clock where it tells; whoever got none
    waited to the end. And whether the router held it."""
    end_s = one.ended_s if one.ended_s is not None else one.sent_s
    if not tries:
        return (one.first_s if one.first_s is not None else end_s) - one.sent_s, False
    arrived = min(each.arrived_s for each in tries)
    firsts = [each.first_s for each in tries if each.first_s is not None]
    before = arrived - one.sent_s
    held = before > HELD_S
    first_s = min(firsts) if firsts else end_s
    return first_s - arrived + (before if held else before / scale), held


def _reuse(
    measured: Sequence[Seen], served: dict[int, list[Served]], engines: int
) -> tuple[int, int, float]:
    """Tokens of the prompts, those of them that were cached, and the imbalance."""
    if not engines:
        answered = [one for one in measured if one.prompt_tokens]
        return (
            sum(one.prompt_tokens for one in answered),
            sum(one.hit for one in answered),
            math.nan,
        )
    prompts = hits = 0
    work: Counter[int] = Counter()
    for one in measured:
        for each in served.get(one.number, []):
            prompts += each.prompt_tokens
            hits += each.hit
            work[each.engine] += each.prompt_tokens - each.hit
    mean = work.total() / engines
    return prompts, hits, max(work.values(), default=0) / mean if mean else math.nan
