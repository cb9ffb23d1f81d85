"""Distributions that a workload is described by, each a function of a random generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

Draw = Callable[[Random], float]


def lognormal(median: float, p95: float, most: float = math.inf) -> Draw:
    sigma = math.log(p95 / median) / 1.645
    return lambda rng: min(most, rng.lognormvariate(math.log(median), sigma))


def normal(mean: float, deviation: float) -> Draw:
    return lambda rng: rng.gauss(mean, deviation)


def uniform(low: float, high: float) -> Draw:
    return lambda rng: rng.uniform(low, high)


def geometric(mean: float) -> Draw:
    """1, 2, 3 …; each next one as likely as the one before."""
    if mean <= 1:
        return lambda _: 1.0
    again = math.log(1 - 1 / mean)
    return lambda rng: 1.0 + math.floor(math.log(1 - rng.random()) / again)


def mixed(share: float, one: Draw, other: Draw) -> Draw:
    """`one` in this share of the draws, else `other`."""
    return lambda rng: one(rng) if rng.random() < share else other(rng)


def zipf(rng: Random, count: int) -> int:
    """0 … count-1; the n-th is taken 1/n as often as the first."""
    return rng.choices(range(count), [1 / (n + 1) for n in range(count)])[0]
