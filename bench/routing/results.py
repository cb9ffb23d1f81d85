"""The runs that were made, with what they were made on, in one file."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import report
from bench.routing.outcome import Outcome, geometric_mean
from bench.routing.routers import infergate_engine

RESULTS = Path(report.RESULTS) / "routing.json"
VIRTUAL = RESULTS.with_name("routing-virtual.json")
"""Of runs in virtual time."""


@dataclass(frozen=True)
class Results:
    """machine: see bench.report.machine. commands: that made the runs."""

    machine: dict[str, Any]
    commands: tuple[str, ...]
    runs: tuple[Outcome, ...]

    @classmethod
    def new(cls) -> Results:
        return cls(report.machine([infergate_engine()]), (_command(),), ())

    @classmethod
    def read(cls, file: Path) -> Results:
        """Those of a file, to which this command adds. Raises SystemExit if there is none."""
        if not file.exists():
            raise SystemExit(f"there are no results in {file} yet; run without --append, --no-run")
        found = json.loads(file.read_text())
        runs = tuple(Outcome(**run) for run in found["runs"])
        return cls(found["machine"], tuple(found["commands"]), runs)

    def with_run(self, run: Outcome) -> Results:
        """It takes the place of an older one of the same scenario, router and seed."""
        others = [
            each
            for each in self.runs
            if (each.scenario, each.router, each.seed) != (run.scenario, run.router, run.seed)
        ]
        commands = tuple(dict.fromkeys((*self.commands, _command())))
        return replace(self, commands=commands, runs=(*others, run))

    def write(self, file: Path) -> None:
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def merged(runs: Sequence[Outcome]) -> Outcome:
    """Of one scenario and router with several seeds: quantiles by their geometric mean, shares by
    the average, errors added. It kept up where all did."""

    def average(name: str) -> float:
        return sum(getattr(each, name) for each in runs) / len(runs)

    return replace(
        runs[0],
        **{
            name: geometric_mean([getattr(each, name) for each in runs])
            for name in ("p50_s", "p95_s", "p99_s")
        },
        **{name: average(name) for name in ("hit", "imbalance", "held")},
        **{
            name: sum(getattr(each, name) for each in runs)
            for name in ("requests", "errors", "before_token", "loads")
        },
        lag_s=max(each.lag_s for each in runs),
        kept_up=all(each.kept_up for each in runs),
        first_error=next((each.first_error for each in runs if each.first_error), ""),
    )


def by_scenario(runs: Iterable[Outcome]) -> dict[str, dict[str, Outcome]]:
    """Scenario → router → what its runs say, both in the order in which they were first run."""
    found: dict[str, dict[str, list[Outcome]]] = {}
    for run in runs:
        found.setdefault(run.scenario, {}).setdefault(run.router, []).append(run)
    return {
        scenario: {router: merged(each) for router, each in routers.items()}
        for scenario, routers in found.items()
    }


def _command() -> str:
    return " ".join(["make bench-routing", f"ARGS='{' '.join(sys.argv[1:])}'"])
